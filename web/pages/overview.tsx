import { useQuery } from "@connectrpc/connect-query";
import { AlertService } from "#proto/fleet/v1/alert";
import type { ClusterStanding, GetFleetSummaryResponse, RegionSummary } from "#proto/fleet/v1/cluster";
import { AlertGroupService } from "#proto/fleet/v1/alert_group";
import { RolloutService, type Rollout } from "#proto/fleet/v1/rollout";
import { everyMs, lineMinutes, useFleetSummary, useRegionMinutes } from "../api/fleet.ts";
import { AlertLine } from "../components/alert-line.tsx";
import { Bar } from "../components/badge.tsx";
import { Chart } from "../components/chart.tsx";
import { Sign } from "../components/icons.tsx";
import { NeedsYou, useSevereGroups, type SevereGroups } from "../components/needs-you.tsx";
import { PageHead, Panel } from "../components/panel.tsx";
import { RolloutLine } from "../components/rollout-line.tsx";
import { Link } from "../components/router.tsx";
import { Sparkline } from "../components/sparkline.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { useMinute } from "../components/time.tsx";
import { groupsCounted, groupWish, notStoredOf, type NotStored } from "../view/alert-group.ts";
import { healthParts } from "../view/parts.ts";
import { countHealth, totalOf } from "../view/fleet.ts";
import { countText, lagText, nounText, rateText } from "../view/quantity.ts";
import { regionLine, type Line } from "../view/series.ts";
import { healthWord } from "../view/words.ts";

/** The whole fleet at a glance: what is wrong, where, and what is being done. */
export function OverviewPage() {
  const answer = useFleetSummary();
  const severe = useSevereGroups();
  return (
    <>
      <PageHead title="Fleet" />
      {/* Both are asked for at once and shown together, so that what stands below the groups does not jump. */}
      <Answered answer={severe.isPending ? { ...answer, data: undefined } : answer} lines={10}>
        {(summary) => <Overview summary={summary} severe={severe} />}
      </Answered>
    </>
  );
}

function Overview({
  summary,
  severe,
}: {
  readonly summary: GetFleetSummaryResponse;
  readonly severe: SevereGroups;
}) {
  const { regions, needing } = summary;
  const minutes = useRegionMinutes();
  // A minute exact: the lines move when a minute is over.
  const nowMs = useMinute() * 60_000;
  if (regions.length === 0) {
    return (
      <Empty>
        No cluster has joined yet. To take one in: <code>fleetctl cluster onboard</code>.
      </Empty>
    );
  }
  const lineOf = (region: string) =>
    regionLine(
      minutes.filter((each) => each.region === region),
      lineMinutes,
      nowMs,
    );
  return (
    <div className="overview">
      <Totals regions={regions} />
      <div className="map">
        {regions.map((region) => (
          <Region key={region.region} summary={region} line={lineOf(region.region)} />
        ))}
      </div>
      <div className="columns">
        <div className="stack">
          <NeedsYou clusters={needing} counts={countHealth(regions)} severe={severe} />
          <NewestAlerts />
        </div>
        <div className="stack">
          <Rollouts />
          <Panel title="Audit events per second, last hour">
            <Chart
              label="Audit events per second of the fleet"
              line={regionLine(minutes, lineMinutes, nowMs)}
              format={rateText}
            />
          </Panel>
        </div>
      </div>
    </div>
  );
}

/** The figures that one looks at first, in one strip. */
function Totals({ regions }: { readonly regions: readonly RegionSummary[] }) {
  const counts = countHealth(regions);
  const alerts = useAlertsOfDay();
  const notStored = useNotStored();
  const sum = (of: (region: RegionSummary) => number) => regions.reduce((total, each) => total + of(each), 0);
  const dropped = sum((region) => Number(region.dropped));
  return (
    <dl className="totals">
      <div className="total">
        <dt>Clusters</dt>
        <dd>
          {countText(totalOf(regions))}
          <small>{nounText(regions.length, "region")}</small>
        </dd>
      </div>
      {healthParts(counts).map(({ tone, count, text }) => (
        <div key={text} className="total">
          <dt>
            <Sign tone={tone} /> {text}
          </dt>
          <dd className={count > 0 && tone !== "ok" ? `tone-${tone} toned` : ""}>
            <Link to={`/clusters?health=${text}`}>{countText(count)}</Link>
          </dd>
        </div>
      ))}
      <div className="total">
        <dt>Events</dt>
        <dd>
          {rateText(sum((region) => region.eventsPerSecond))}
          <small>lag {lagText(Math.max(...regions.map((region) => Number(region.lagMs))))}</small>
        </dd>
      </div>
      <div className="total">
        <dt>Alerts, 24 h</dt>
        <dd>
          <Link to="/alerts/all">{alerts === undefined ? "…" : countText(alerts)}</Link>
        </dd>
      </div>
      <div className="total">
        <dt title="Of the groups that are not resolved: alerts that were counted and not stored">
          Not stored
        </dt>
        <dd className={(notStored?.count ?? 0n) > 0n ? "tone-warn toned" : ""}>
          <Link to="/alerts">{notStored?.text ?? "…"}</Link>
        </dd>
      </div>
      <div className="total">
        <dt title="Records, in the last minute">Dropped</dt>
        <dd className={dropped > 0 ? "tone-bad toned" : ""}>{countText(dropped)}</dd>
      </div>
    </dl>
  );
}

function useAlertsOfDay(): bigint | undefined {
  // An hour exact, so that the question stays the same for a while.
  const since = BigInt(Math.floor(useMinute() / 60) * 3_600 - 86_400);
  const { data } = useQuery(
    AlertService.method.getAlertStats,
    { by: "priority", filter: { since: { seconds: since, nanos: 0 } } },
    { refetchInterval: 30_000 },
  );
  return data?.total;
}

/** Of what waits for somebody: groups that are resolved are dealt with, and so is what was lost of them. */
function useNotStored(): NotStored | undefined {
  const { states } = groupWish("current");
  const { data } = useQuery(
    AlertGroupService.method.listAlertGroups,
    { states: [...states], pageSize: groupsCounted },
    { refetchInterval: 30_000 },
  );
  return notStoredOf(data);
}

/** One region: a cell for each cluster, the worst first. */
function Region({ summary, line }: { readonly summary: RegionSummary; readonly line: Line }) {
  const { worst } = summary;
  const total = totalOf([summary]);
  const rest = total - worst.length;
  const region = summary.region || "no region";
  const filter = summary.region === "" ? "!region" : `region=${summary.region}`;
  return (
    <section className="panel region" aria-label={`Region ${region}`}>
      <header className="region-head">
        <h2>
          <Link to={`/clusters?q=${encodeURIComponent(filter)}`}>{region}</Link>
        </h2>
        <span className="faint">{nounText(total, "cluster")}</span>
        <span className="region-rate number">{rateText(summary.eventsPerSecond)}</span>
        <Sparkline values={line.values} />
      </header>
      <Bar parts={healthParts(summary)} label={`Health of ${region}`} />
      <ul className="cells">
        {worst.map((cluster) => (
          <Cell key={cluster.name} cluster={cluster} />
        ))}
      </ul>
      {rest > 0 ? (
        <p className="hint">and {nounText(rest, "more cluster")}, none worse than the last one here</p>
      ) : undefined}
    </section>
  );
}

function Cell({ cluster }: { readonly cluster: ClusterStanding }) {
  const { tone, text } = healthWord(cluster.health);
  const words = `${cluster.name}: ${text}, ${rateText(cluster.eventsPerSecond)}`;
  return (
    <li>
      <Link
        to={`/clusters/${cluster.name}`}
        className={`map-cell tone-${tone}`}
        title={words}
        aria-label={words}
      >
        {undefined}
      </Link>
    </li>
  );
}

function Rollouts() {
  const rollouts = useQuery(
    RolloutService.method.listRollouts,
    { pageSize: 5 },
    { refetchInterval: everyMs(0) },
  );
  return (
    <Panel title="Rollouts" isFlush aside={<Link to="/rollouts">All</Link>}>
      <Answered answer={rollouts} lines={3}>
        {(data) =>
          data.rollouts.length === 0 ? (
            <p className="calm">Nothing was rolled out yet.</p>
          ) : (
            <ul className="lines">
              {data.rollouts.map((rollout: Rollout) => (
                <RolloutLine key={rollout.id} rollout={rollout} />
              ))}
            </ul>
          )
        }
      </Answered>
    </Panel>
  );
}

const shownMax = 8;

function NewestAlerts() {
  const alerts = useQuery(
    AlertService.method.listAlerts,
    { pageSize: shownMax },
    { refetchInterval: everyMs(0) },
  );
  return (
    <Panel title="Newest alerts" isFlush aside={<Link to="/alerts/all">All</Link>}>
      <Answered answer={alerts} lines={4}>
        {(data) =>
          data.alerts.length === 0 ? (
            <p className="calm">No rule has matched yet.</p>
          ) : (
            <ul className="lines">
              {data.alerts.map((alert) => (
                <AlertLine key={`${alert.clusterId} ${alert.id}`} alert={alert} />
              ))}
            </ul>
          )
        }
      </Answered>
    </Panel>
  );
}
