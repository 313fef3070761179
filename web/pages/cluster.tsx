import { useQuery } from "@connectrpc/connect-query";
import { AlertService } from "#proto/fleet/v1/alert";
import { AlertGroupService, AlertGroupState } from "#proto/fleet/v1/alert_group";
import { ClusterService, type Agent, type Attempt, type Cluster } from "#proto/fleet/v1/cluster";
import { BundleKind, Requirement_Operator as Operator, type BundleRef } from "#proto/fleet/v1/common";
import { useRates } from "../api/rates.ts";
import { AlertLine } from "../components/alert-line.tsx";
import { Badge, State } from "../components/badge.tsx";
import { Chart } from "../components/chart.tsx";
import { Sign } from "../components/icons.tsx";
import { Facts, PageHead, Panel } from "../components/panel.tsx";
import { ResponsesPanel } from "../components/responses.tsx";
import { Link } from "../components/router.tsx";
import { ShortRows, type Column } from "../components/rows.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago, useMinute } from "../components/time.tsx";
import { groupsCounted, leastOf, notStoredOf } from "../view/alert-group.ts";
import { bundleText, eventsPerSecond } from "../view/fleet.ts";
import { matcherText } from "../view/match.ts";
import { bytesText, countText, digestText, lagText, rateText } from "../view/quantity.ts";
import { reads, sumLine } from "../view/series.ts";
import { attemptTone, healthWord } from "../view/words.ts";

/** One cluster: what it should run, what its agents prove, what they tried, what they see. */
export function ClusterPage({ name }: { readonly name: string }) {
  const answer = useQuery(ClusterService.method.getCluster, { cluster: name }, { refetchInterval: 5_000 });
  return (
    <>
      <PageHead
        title={name}
        parent={<Link to="/clusters">Clusters</Link>}
        aside={
          answer.data?.cluster === undefined ? undefined : (
            <State word={healthWord(answer.data.cluster.health)} />
          )
        }
      />
      <Answered answer={answer} lines={12}>
        {({ cluster }) => (cluster === undefined ? undefined : <Details cluster={cluster} />)}
      </Answered>
    </>
  );
}

function Details({ cluster }: { readonly cluster: Cluster }) {
  return (
    <div className="columns">
      {cluster.healthReason === "" ? undefined : (
        <div className={`reason tone-${healthWord(cluster.health).tone} across`} role="status">
          <Sign tone={healthWord(cluster.health).tone} />
          <span>{cluster.healthReason}</span>
        </div>
      )}
      <div className="stack">
        <Standing cluster={cluster} />
        <Rates cluster={cluster} />
        <Alerts cluster={cluster} />
        <ResponsesPanel clusterName={cluster.name} />
      </div>
      <div className="stack">
        <Proofs cluster={cluster} />
        {cluster.agents.map((agent) => (
          <AgentPanel key={agent.id} agent={agent} />
        ))}
      </div>
    </div>
  );
}

function Standing({ cluster }: { readonly cluster: Cluster }) {
  const { rates, labels } = cluster;
  return (
    <Panel title="Standing">
      <Facts
        facts={[
          ["Heard of", <Ago key="seen" time={cluster.lastSeenAt} />],
          ["Events", rates === undefined ? "–" : rateText(eventsPerSecond(rates))],
          ["Lag", rates === undefined ? "–" : lagText(rates.lagMs)],
          ["Bytes", rates === undefined ? "–" : `${bytesText(rates.bytes)} a minute`],
          ["Dropped", rates === undefined ? "–" : countText(rates.dropped)],
          ["Put aside", rates === undefined ? "–" : countText(rates.parked)],
          ["Agents", countText(cluster.agentCount)],
          ["Joined", <Ago key="joined" time={cluster.createdAt} />],
          ["UID", <code key="uid">{cluster.uid}</code>],
          ["Id", <code key="id">{cluster.id}</code>],
        ]}
      />
      <ul className="labels" aria-label="Labels">
        {Object.entries(labels).map(([key, value]) => (
          <li key={key} className="label">
            <Link to={`/clusters?q=${encodeURIComponent(`${key}=${value}`)}`}>
              {key}=<strong>{value}</strong>
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

interface ProofRow {
  readonly key: string;
  readonly what: string;
  readonly wanted: BundleRef | undefined;
  readonly running: Cluster["running"][number] | undefined;
}

const proofColumns: readonly Column<ProofRow>[] = [
  { key: "what", head: "", width: "70px", cell: ({ what }) => <span className="muted">{what}</span> },
  {
    key: "wanted",
    head: "Assigned",
    width: "minmax(90px, 1fr)",
    cell: ({ wanted }) => <Bundle bundle={wanted} none="nothing" />,
  },
  {
    key: "running",
    head: "Proved",
    width: "minmax(90px, 1fr)",
    cell: ({ wanted, running }) => {
      if (wanted === undefined && running === undefined) return <span className="faint">nothing</span>;
      const isAsWanted = running?.bundle !== undefined && running.bundle.digest === wanted?.digest;
      return (
        <span className="with-sign">
          <Sign tone={isAsWanted ? "ok" : "warn"} />
          <Bundle bundle={running?.bundle} none="not by all agents" />
        </span>
      );
    },
  },
  {
    key: "at",
    head: "Last proof",
    width: "96px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ running }) => <Ago time={running?.provedAt} />,
  },
];

function Proofs({ cluster }: { readonly cluster: Cluster }) {
  const { assignment, running } = cluster;
  const wanted = [assignment?.rules, assignment?.shipper, ...(assignment?.layers ?? [])].filter(
    (each) => each !== undefined,
  );
  const kinds = [
    { kind: BundleKind.RULES, what: "rules" },
    { kind: BundleKind.SHIPPER, what: "shipper" },
  ];
  const rows: ProofRow[] = kinds.map(({ kind, what }) => ({
    key: what,
    what,
    wanted: wanted.find((each) => each.kind === kind),
    running: running.find(({ bundle }) => bundle?.kind === kind),
  }));
  for (const layer of assignment?.layers ?? []) {
    const of = running.find(({ bundle }) => bundle?.kind === BundleKind.LAYER && bundle.name === layer.name);
    rows.push({ key: `layer ${layer.name}`, what: "layer", wanted: layer, running: of });
  }
  const rolloutId = assignment?.rolloutId ?? "";
  return (
    <Panel
      title="What it runs"
      isFlush
      aside={
        <span className="faint">
          generation {String(assignment?.generation ?? 0n)}
          {rolloutId === "" ? undefined : (
            <>
              {" · "}
              <Link to={`/rollouts/${rolloutId}`}>rollout</Link>
            </>
          )}
        </span>
      }
    >
      <ShortRows label="What it runs" rows={rows} columns={proofColumns} keyOf={({ key }) => key} />
    </Panel>
  );
}

function Bundle({ bundle, none }: { readonly bundle: BundleRef | undefined; readonly none: string }) {
  if (bundle === undefined || bundle.digest === "") return <span className="faint">{none}</span>;
  return (
    <span className="bundle" title={bundle.digest}>
      <Link to={`/bundles/${encodeURIComponent(bundle.digest)}`}>
        {bundleText(bundle) || digestText(bundle.digest)}
      </Link>
      <code className="faint">{digestText(bundle.digest)}</code>
    </span>
  );
}

const minutes = 60;

function Rates({ cluster }: { readonly cluster: Cluster }) {
  const requirements = [{ key: "cluster", operator: Operator.IN, values: [cluster.name] }];
  const series = useRates(requirements, minutes);
  const nowMs = useMinute() * 60_000;
  const charts = [
    { label: "Audit events per second", read: reads.events, format: rateText },
    { label: "Lag, worst of the minute", read: reads.lag, format: lagText },
    { label: "Alerts a minute", read: reads.alerts, format: countText },
    { label: "Detection, part of one core", read: reads.detection, format: percent },
  ];
  return (
    <Panel title="Last hour">
      <div className="charts">
        {charts.map(({ label, read, format }) => (
          <figure key={label}>
            <figcaption>{label}</figcaption>
            <Chart
              label={`${label} of ${cluster.name}`}
              line={sumLine(series, minutes, nowMs, read)}
              format={format}
            />
          </figure>
        ))}
      </div>
    </Panel>
  );
}

function percent(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} %`;
}

function AgentPanel({ agent }: { readonly agent: Agent }) {
  const { transport, leftAt } = agent;
  const away =
    leftAt === undefined
      ? ({ tone: "bad", text: "not connected" } as const)
      : ({ tone: "idle", text: "left" } as const);
  return (
    <Panel
      title={`Agent ${agent.name}`}
      aside={<State word={transport === "" ? away : { tone: "ok", text: `connected, ${transport}` }} />}
    >
      {agent.conditions.map((condition) => (
        <div key={condition.code} className="reason tone-warn">
          <Sign tone="warn" />
          <span>
            <code className="code">{condition.code}</code> {condition.message} <Ago time={condition.since} />
          </span>
        </div>
      ))}
      <Facts
        facts={[
          ["Version", agent.version],
          ["Heard of", <Ago key="seen" time={agent.lastSeenAt} />],
          ["Connected", <Ago key="connected" time={agent.connectedAt} />],
          ...(leftAt === undefined ? [] : [["Left", <Ago key="left" time={leftAt} />] as const]),
          ["Certificate", <Ago key="certificate" time={agent.certificateExpiresAt} />],
          ["Generation seen", String(agent.observedGeneration)],
        ]}
      />
      <h3>History</h3>
      {agent.attempts.length === 0 ? (
        <Empty>It has tried nothing yet.</Empty>
      ) : (
        <Attempts attempts={agent.attempts} />
      )}
    </Panel>
  );
}

function Attempts({ attempts }: { readonly attempts: readonly Attempt[] }) {
  return (
    <ol className="attempts">
      {attempts.map((attempt) => (
        <li
          key={`${attempt.bundle?.kind} ${attempt.bundle?.digest} ${attempt.generation} ${attempt.phase} ${attempt.at?.seconds}.${attempt.at?.nanos}`}
          className="attempt"
        >
          <Badge tone={attemptTone(attempt.phase)}>{attempt.phase}</Badge>
          <span className="attempt-what">
            <Bundle bundle={attempt.bundle} none="" />
          </span>
          <span className="faint">
            generation {String(attempt.generation)} · <Ago time={attempt.at} />
          </span>
          {attempt.reason === "" ? undefined : (
            <p className="attempt-why">
              <code className="code">{attempt.reason}</code> {attempt.detail}
            </p>
          )}
          {attempt.logTail === "" ? undefined : (
            <details className="attempt-why">
              <summary>What its pipeline said last</summary>
              <pre className="text">{attempt.logTail}</pre>
            </details>
          )}
        </li>
      ))}
    </ol>
  );
}

/** What waits for somebody here, and whether more came than is kept. */
function Waiting({ cluster }: { readonly cluster: Cluster }) {
  const matchers = matcherText("cluster", cluster.name);
  const { data } = useQuery(
    AlertGroupService.method.listAlertGroups,
    { filter: { matchers }, pageSize: groupsCounted },
    { refetchInterval: 15_000 },
  );
  const groups = data?.groups ?? [];
  const open = groups.filter(
    ({ state, silencedUntil }) => state === AlertGroupState.OPEN && silencedUntil === undefined,
  ).length;
  const notStored = notStoredOf(data);
  const least = data === undefined ? "" : leastOf(data);
  const count = groups.reduce((total, group) => total + group.count, 0n);
  return (
    <div className="calm">
      <Facts
        facts={[
          [
            "Open groups",
            <Link key="open" to={`/alerts?state=open&q=${encodeURIComponent(matchers)}`}>
              {data === undefined ? "…" : `${least}${countText(open)}`}
            </Link>,
          ],
          ["Alerts in groups", data === undefined ? "…" : `${least}${countText(count)}`],
          [
            "Of these not stored",
            <span key="not" className={(notStored?.count ?? 0n) > 0n ? "tone-warn toned" : ""}>
              {notStored?.text ?? "…"}
            </span>,
          ],
        ]}
      />
    </div>
  );
}

function Alerts({ cluster }: { readonly cluster: Cluster }) {
  const requirements = [{ key: "cluster", operator: Operator.IN, values: [cluster.name] }];
  const answer = useQuery(
    AlertService.method.listAlerts,
    { pageSize: 12, filter: { selector: { requirements } } },
    { refetchInterval: 5_000 },
  );
  return (
    <Panel
      title="Alerts"
      isFlush
      aside={<Link to={`/alerts/all?q=${encodeURIComponent(`cluster=${cluster.name}`)}`}>All</Link>}
    >
      <Waiting cluster={cluster} />
      <Answered answer={answer} lines={4}>
        {({ alerts }) =>
          alerts.length === 0 ? (
            <p className="calm">No rule has matched here.</p>
          ) : (
            <ul className="lines">
              {alerts.map((alert) => (
                <AlertLine key={alert.id} alert={alert} />
              ))}
            </ul>
          )
        }
      </Answered>
    </Panel>
  );
}
