import { useId, useMemo, useState } from "react";
import type { Alert } from "#proto/fleet/v1/alert";
import { useNamedAlert } from "../api/alerts.ts";
import { groupAddress, isNamed, parseAlertParam } from "../view/alert-link.ts";
import { digestText } from "../view/quantity.ts";
import { priorityTone } from "../view/words.ts";
import { Badge } from "./badge.tsx";
import { Dialog } from "./dialog.tsx";
import { Facts } from "./panel.tsx";
import { ResponseLines } from "./responses.tsx";
import { Link } from "./router.tsx";
import { Answered, Empty } from "./states.tsx";
import { Ago } from "./time.tsx";

/** The alert that the address names: one that was read already, or else it is asked for. */
export function NamedAlert({
  text,
  read,
  onClose,
}: {
  readonly text: string;
  readonly read: readonly Alert[];
  readonly onClose: () => void;
}) {
  const name = useMemo(() => parseAlertParam(text), [text]);
  const here = useMemo(
    () => (name === undefined ? undefined : read.find((alert) => isNamed(name, alert))),
    [name, read],
  );
  // Whoever reads it keeps it when it leaves what was read.
  const [last, setLast] = useState<{ readonly text: string; readonly alert: Alert }>();
  if (here !== undefined && last?.alert !== here) setLast({ text, alert: here });
  const known = here ?? (last?.text === text ? last.alert : undefined);
  const answer = useNamedAlert(text, known === undefined);
  const alert = known ?? answer.data?.alert;
  if (alert !== undefined) return <OneAlert alert={alert} onClose={onClose} />;
  return (
    <Dialog title="Alert" onClose={onClose}>
      <div className="dialog-body">
        <Answered answer={answer} lines={6}>
          {() => <Empty>There is no such alert, or it is no longer kept.</Empty>}
        </Answered>
      </div>
    </Dialog>
  );
}

function OneAlert({ alert, onClose }: { readonly alert: Alert; readonly onClose: () => void }) {
  const id = useId();
  return (
    <Dialog title={alert.rule} onClose={onClose}>
      <div className="dialog-body">
        <p className="alert-output">{alert.output}</p>
        <Facts
          facts={[
            [
              "Cluster",
              <Link key="cluster" to={`/clusters/${alert.clusterName}`} onClick={onClose}>
                {alert.clusterName}
              </Link>,
            ],
            [
              "Priority",
              <Badge key="priority" tone={priorityTone(alert.priority)}>
                {alert.priority}
              </Badge>,
            ],
            ["Event", <Ago key="time" time={alert.time} />],
            ["Received", <Ago key="received" time={alert.receivedAt} />],
            ["Source", alert.source],
            ["Audit id", <code key="audit">{alert.auditId}</code>],
            ["Rules", <code key="rules">{digestText(alert.rulesDigest)}</code>],
            ["Tags", alert.tags.join(", ")],
            ["Responses", alert.responses.map(({ outcome }) => outcome).join(", ") || "none"],
            [
              "Group",
              <Link key="group" to={groupAddress(alert)} onClick={onClose}>
                {alert.actor || alert.rule}
              </Link>,
            ],
          ]}
        />
        {alert.responses.length === 0 ? undefined : (
          <section className="responses" aria-labelledby={id}>
            <h3 id={id}>Responses</h3>
            <ResponseLines responses={alert.responses} />
          </section>
        )}
        <pre className="text" tabIndex={0} aria-label="The alert as JSON">
          {pretty(alert.body)}
        </pre>
      </div>
    </Dialog>
  );
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), undefined, 2);
  } catch {
    return json;
  }
}
