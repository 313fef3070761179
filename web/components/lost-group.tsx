import { useQuery } from "@connectrpc/connect-query";
import type { Alert } from "#proto/fleet/v1/alert";
import { AlertGroupService, type AlertGroup } from "#proto/fleet/v1/alert_group";
import { useNamedAlert } from "../api/alerts.ts";
import { alertAddress, listAddress } from "../view/alert-link.ts";
import { groupMatchers, many, matcherText } from "../view/match.ts";
import { msOf } from "../view/time.ts";
import { Panel } from "./panel.tsx";
import { Link } from "./router.tsx";
import { Answered, Refused } from "./states.tsx";

/**
 * Stands where a group is not: of a cluster so many are kept apart, and alerts beyond are counted in one of many actors. What leads here
 * names an alert, from which is found where it is counted, and what is like it.
 */
export function LostGroup({
  id,
  alert: text,
  refusal,
}: {
  readonly id: string;
  readonly alert: string;
  readonly refusal: unknown;
}) {
  const answer = useNamedAlert(text, true);
  return (
    <Answered answer={answer} lines={6}>
      {({ alert }) => (alert?.groupId === id ? <Instead alert={alert} /> : <Refused error={refusal} />)}
    </Answered>
  );
}

function Instead({ alert }: { readonly alert: Alert }) {
  const { id, rule, clusterName, clusterId, actor, time } = alert;
  const matchers = `${matcherText("cluster", clusterName)}, ${matcherText("actor", many)}`;
  const groups = useQuery(AlertGroupService.method.listAlertGroups, {
    filter: { rules: [rule, many], matchers },
  });
  const now = Date.now();
  return (
    <Panel title={rule}>
      <p>
        No group of its own is kept for {actor === "" ? "these alerts" : `what ${actor} did`} in {clusterName}
        .
      </p>
      <Answered answer={groups} lines={1}>
        {({ groups: found }) => <Together group={found.find((each) => each.rule === rule) ?? found[0]} />}
      </Answered>
      <ul className="after">
        <li>
          <Link to={listAddress(groupMatchers([alert]), msOf(time) ?? now, now)}>
            The alerts of this rule, cluster and actor
          </Link>{" "}
          since then
        </li>
        <li>
          <Link to={alertAddress(id, time, clusterId)}>The alert itself</Link>
        </li>
      </ul>
    </Panel>
  );
}

/** Where what is not kept apart is counted, when it is. */
function Together({ group }: { readonly group: AlertGroup | undefined }) {
  if (group === undefined) return undefined;
  return (
    <p>
      The cluster has as many groups as are kept apart, and what comes beyond is counted together:{" "}
      <Link to={`/alerts/${group.id}`}>
        The group of {group.rule === many ? "many rules" : "many actors"}
      </Link>
      , where it is counted, acknowledged and resolved.
    </p>
  );
}
