import { useQuery } from "@connectrpc/connect-query";
import { AlertGroupService, AlertGroupState, type AlertGroup } from "#proto/fleet/v1/alert_group";
import type { Cluster } from "#proto/fleet/v1/cluster";
import type { HealthCounts } from "../view/fleet.ts";
import { countText } from "../view/quantity.ts";
import { healthWord, priorityTone } from "../view/words.ts";
import { Badge } from "./badge.tsx";
import { Sign } from "./icons.tsx";
import { Panel } from "./panel.tsx";
import { Link } from "./router.tsx";
import { Refused } from "./states.tsx";
import { Ago } from "./time.tsx";

const shownMax = 8;

/** The open groups that are severe, which nobody said anything of and no silence marks. */
export function useSevereGroups() {
  return useQuery(
    AlertGroupService.method.listAlertGroups,
    {
      filter: { minPriority: "Error" },
      states: [AlertGroupState.OPEN],
      silenced: false,
      pageSize: shownMax + 1,
    },
    { refetchInterval: 10_000 },
  );
}

export type SevereGroups = ReturnType<typeof useSevereGroups>;

/** What will not mend itself: clusters that are unwell, and severe alerts that nobody looks after. */
export function NeedsYou({
  clusters,
  counts,
  severe,
}: {
  /** The worst first. */
  readonly clusters: readonly Cluster[];
  readonly counts: HealthCounts;
  readonly severe: SevereGroups;
}) {
  const all = counts.silent + counts.degraded;
  const groups = severe.data?.groups ?? [];
  return (
    <Panel
      title="Needs you"
      isFlush
      aside={all === 0 ? undefined : <Link to="/clusters?sort=health">All {countText(all)} clusters</Link>}
    >
      {clusters.length === 0 ? (
        <p className="calm">
          <Sign tone="ok" /> No cluster is silent or degraded.
        </p>
      ) : (
        <ul className="lines" aria-label="Clusters that need you">
          {clusters.slice(0, shownMax).map((cluster) => (
            <li key={cluster.id} className="line">
              <Sign tone={healthWord(cluster.health).tone} />
              <Link to={`/clusters/${cluster.name}`}>{cluster.name}</Link>
              <span className="line-rest grow" title={cluster.healthReason}>
                {cluster.healthReason}
              </span>
            </li>
          ))}
        </ul>
      )}
      {severe.data === undefined && severe.error !== null ? <Refused error={severe.error} /> : undefined}
      {severe.data === undefined ? undefined : groups.length === 0 ? (
        <p className="calm next-part">
          <Sign tone="ok" /> No severe alert waits for somebody.
        </p>
      ) : (
        <ul className="lines next-part" aria-label="Alerts that need you">
          {groups.slice(0, shownMax).map((group) => (
            <GroupLine key={group.id} group={group} />
          ))}
          {groups.length > shownMax ? (
            <li className="line">
              <Link to="/alerts?state=open&priority=Error">All that are severe and open</Link>
            </li>
          ) : undefined}
        </ul>
      )}
    </Panel>
  );
}

function GroupLine({ group }: { readonly group: AlertGroup }) {
  const { id, rule, priority, clusterName, count, lastAt } = group;
  return (
    <li className="line">
      <Badge tone={priorityTone(priority)}>{priority}</Badge>
      <Link to={`/alerts/${id}`} className="line-main">
        {rule}
      </Link>
      <span className="line-rest">
        {countText(count)} on {clusterName} · <Ago time={lastAt} />
      </span>
    </li>
  );
}
