import { countText } from "../view/quantity.ts";
import type { RuleRow } from "../view/rules.ts";
import { priorityTone } from "../view/words.ts";
import { Badge } from "./badge.tsx";
import { Dialog } from "./dialog.tsx";
import { Facts } from "./panel.tsx";
import { Link } from "./router.tsx";
import { Empty } from "./states.tsx";
import { Ago } from "./time.tsx";

/** A rule as it is written, with the way to what it caught. */
export function OneRule({
  row,
  since,
  onClose,
}: {
  readonly row: RuleRow;
  readonly since: string;
  readonly onClose: () => void;
}) {
  const { name, rule, alerts, last } = row;
  const caught = `/alerts/all?since=${since}&rule=${encodeURIComponent(name)}`;
  return (
    <Dialog title={name} onClose={onClose}>
      <div className="dialog-body">
        {rule === undefined ? (
          <Empty>This bundle has no such rule: a cluster runs another one, or did.</Empty>
        ) : (
          <p className="alert-output">{rule.desc}</p>
        )}
        <Facts
          facts={[
            [
              "Priority",
              <Badge key="priority" tone={priorityTone(rule?.priority ?? "")}>
                {rule?.priority || "not said"}
              </Badge>,
            ],
            [
              "Alerts",
              <Link key="alerts" to={caught} onClick={onClose}>
                {alerts === undefined ? "see them" : countText(alerts)}
              </Link>,
            ],
            ["Last", <Ago key="last" time={last} none="none" />],
            ["Enabled", rule === undefined ? "–" : rule.isEnabled ? "yes" : "no"],
            ["Source", rule?.source || "–"],
            ["Layers about it", rule?.layers.join(", ") || "none"],
            ["Tags", rule?.tags.join(", ") || "–"],
          ]}
        />
        {rule === undefined ? undefined : (
          <>
            <pre className="text" tabIndex={0} aria-label="Condition">
              {rule.condition}
            </pre>
            <pre className="text" tabIndex={0} aria-label="Output">
              {rule.output}
            </pre>
          </>
        )}
      </div>
    </Dialog>
  );
}
