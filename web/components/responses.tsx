import { useQuery } from "@connectrpc/connect-query";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Requirement_Operator as Operator } from "#proto/fleet/v1/common";
import { ResponseService, type Response } from "#proto/fleet/v1/response";
import { alertAddress } from "../view/alert-link.ts";
import { outcomeWord, responsesNote, responseText } from "../view/response.ts";
import { State } from "./badge.tsx";
import { Panel } from "./panel.tsx";
import { Link } from "./router.tsx";
import { Answered } from "./states.tsx";
import { Ago } from "./time.tsx";

/** What agents did, or would have done, a line each. */
export function ResponseLines({
  responses,
  hasLinks = false,
}: {
  readonly responses: readonly Response[];
  /** Leads from each to its alert. */
  readonly hasLinks?: boolean;
}) {
  return (
    <ul className="lines" aria-label="Responses">
      {responses.map((each) => (
        <li key={`${each.clusterId} ${each.alertId} ${each.response}`} className="line">
          <State word={outcomeWord(each.outcome)} />
          <span className="response-what">{responseText(each)}</span>
          <span className="line-rest">
            {hasLinks ? (
              <Link to={alertAddress(each.alertId, each.decidedAt, each.clusterId)}>alert</Link>
            ) : (
              each.response
            )}{" "}
            · <Ago time={each.decidedAt} />
          </span>
          {each.why === "" ? undefined : <p className="note muted">{each.why}</p>}
        </li>
      ))}
    </ul>
  );
}

interface Asked {
  readonly clusterName: string;
  /** Only those to alerts of this rule; all without it. */
  readonly rule?: string;
  readonly since?: Timestamp | undefined;
}

/** Responses are rare, so that those of a cluster and a time are one page; of more the newest are told. */
const askedMax = 200;

/** What was done in a cluster about the alerts of a rule, or about all. */
export function ResponsesPanel({ clusterName, rule, since }: Asked) {
  const requirements = [{ key: "cluster", operator: Operator.IN, values: [clusterName] }];
  const answer = useQuery(
    ResponseService.method.listResponses,
    { selector: { requirements }, pageSize: askedMax, ...(since === undefined ? {} : { since }) },
    { refetchInterval: 15_000 },
  );
  return (
    <Panel title="Responses" isFlush>
      <Answered answer={answer} lines={2}>
        {({ responses, nextPageToken }) => {
          const those = responses.filter((each) => rule === undefined || each.rule === rule);
          const note = responsesNote({
            found: those.length,
            shown: shownMax,
            looked: responses.length,
            isAll: nextPageToken === "",
            isOfRule: rule !== undefined,
          });
          return (
            <>
              {those.length === 0 ? undefined : (
                <ResponseLines responses={those.slice(0, shownMax)} hasLinks />
              )}
              {note === undefined ? undefined : <p className="calm">{note}</p>}
            </>
          );
        }}
      </Answered>
    </Panel>
  );
}

const shownMax = 20;
