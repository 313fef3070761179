import { useQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import type { Identity } from "#proto/fleet/v1/auth";
import {
  AlertGroupService,
  type AlertGroup,
  type AlertGroupAct,
  type AlertSample,
  type GetAlertGroupResponse,
} from "#proto/fleet/v1/alert_group";
import { isNotFound } from "../api/transport.ts";
import { Badge, State } from "../components/badge.tsx";
import { GroupDialog, GroupSteps, type GroupAct } from "../components/group-steps.tsx";
import { Sign } from "../components/icons.tsx";
import { LostGroup } from "../components/lost-group.tsx";
import { Facts, PageHead, Panel } from "../components/panel.tsx";
import { ResponsesPanel } from "../components/responses.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import { alertAddress } from "../view/alert-link.ts";
import { fieldsOf, groupWord } from "../view/alert-group.ts";
import { ownMatchers } from "../view/match.ts";
import { countText } from "../view/quantity.ts";
import { priorityTone } from "../view/words.ts";

/** One group: what happened, how often, and what people said of it. */
export function AlertGroupPage({ id, identity }: { readonly id: string; readonly identity: Identity }) {
  const answer = useQuery(
    AlertGroupService.method.getAlertGroup,
    { groupId: id },
    { refetchInterval: 5_000 },
  );
  const [act, setAct] = useState<GroupAct>();
  const [alert] = useParam("alert");
  const group = answer.data?.group;
  const isLost = group === undefined && alert !== "" && isNotFound(answer.error);
  return (
    <>
      {act === undefined ? undefined : <GroupDialog act={act} onClose={() => setAct(undefined)} />}
      <PageHead
        title={group?.rule ?? id}
        parent={<Link to="/alerts">Alerts</Link>}
        aside={
          group === undefined ? undefined : (
            <>
              <State word={groupWord(group.state)} />
              <GroupSteps groups={[group]} identity={identity} onAct={setAct} />
            </>
          )
        }
      />
      {isLost ? (
        <LostGroup id={id} alert={alert} refusal={answer.error} />
      ) : (
        <Answered answer={answer} lines={12}>
          {(data) => (data.group === undefined ? undefined : <Details group={data.group} answer={data} />)}
        </Answered>
      )}
    </>
  );
}

function Details({ group, answer }: { readonly group: AlertGroup; readonly answer: GetAlertGroupResponse }) {
  return (
    <div className="columns wide-left">
      {group.silencedUntil === undefined ? undefined : (
        <div className="reason tone-idle across" role="status">
          <Sign tone="idle" />
          <span>
            Silenced by <Link to="/alerts/silences">{group.silenceId}</Link>, which ends{" "}
            <Ago time={group.silencedUntil} />
          </span>
        </div>
      )}
      {group.notStored === 0n ? undefined : (
        <div className="reason tone-warn across" role="status">
          <Sign tone="warn" />
          <span>
            {countText(group.notStored)} of {countText(group.count)} alerts were counted and not stored,
            because the cluster sent more than is kept.
          </span>
        </div>
      )}
      <div className="stack">
        <Samples group={group} samples={answer.samples} />
        <Fields json={answer.fields} />
      </div>
      <div className="stack">
        <Standing group={group} />
        <ResponsesPanel
          clusterName={group.clusterName}
          since={group.firstAt}
          {...(group.rule === "*" ? {} : { rule: group.rule })}
        />
        <History acts={answer.acts} />
      </div>
    </div>
  );
}

function Standing({ group }: { readonly group: AlertGroup }) {
  return (
    <Panel title="Group">
      <Facts
        facts={[
          [
            "Priority",
            <Badge key="priority" tone={priorityTone(group.priority)}>
              {group.priority}
            </Badge>,
          ],
          ["Alerts", countText(group.count)],
          ["Not stored", countText(group.notStored)],
          ["First", <Ago key="first" time={group.firstAt} />],
          ["Last", <Ago key="last" time={group.lastAt} />],
          ["Last arrival", <Ago key="received" time={group.receivedAt} />],
          [
            "Cluster",
            <Link key="cluster" to={`/clusters/${group.clusterName}`}>
              {group.clusterName}
            </Link>,
          ],
          ["Region", group.region || "–"],
          ["Actor", group.actor === "*" ? "many" : group.actor || "none named"],
          ["Source", group.source],
          ["Tags", group.tags.join(", ") || "–"],
          ["Note", group.note || "–"],
          ["Id", <code key="id">{group.id}</code>],
        ]}
      />
    </Panel>
  );
}

function Samples({
  group,
  samples,
}: {
  readonly group: AlertGroup;
  readonly samples: readonly AlertSample[];
}) {
  const own = ownMatchers(group);
  const all =
    own === undefined ? undefined : (
      <Link to={`/alerts/all?since=30d&q=${encodeURIComponent(own)}`}>All</Link>
    );
  return (
    <Panel title="Newest alerts" isFlush aside={all}>
      {samples.length === 0 ? (
        <Empty>No sample is kept.</Empty>
      ) : (
        <ul className="lines">
          {samples.map(({ alertId, time, output }) => (
            <li key={alertId} className="line sample">
              <span className="faint">
                <Ago time={time} />
              </span>
              <Link to={alertAddress(alertId, time, group.clusterId)} className="alert-output plain">
                {output}
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Fields({ json }: { readonly json: string }) {
  const fields = fieldsOf(json);
  if (fields.length === 0) return undefined;
  return (
    <Panel title="Fields of the newest">
      <dl className="pairs">
        {fields.map(([name, value]) => (
          <div key={name}>
            <dt>
              <code>{name}</code>
            </dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}

function History({ acts }: { readonly acts: readonly AlertGroupAct[] }) {
  return (
    <Panel title="History" isFlush>
      {acts.length === 0 ? (
        <p className="calm">Nobody said anything yet.</p>
      ) : (
        <ol className="lines">
          {acts.map(({ at, who, what, note }, i) => (
            <li key={`${at?.seconds ?? 0n} ${acts.length - i}`} className="line">
              <strong>{what}</strong>
              <span>{who === "" ? "by a new alert" : `by ${who}`}</span>
              <span className="line-rest">
                <Ago time={at} />
              </span>
              {note === "" ? undefined : <p className="note">{note}</p>}
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}
