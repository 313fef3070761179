import type { Alert } from "#proto/fleet/v1/alert";
import { alertAddress } from "../view/alert-link.ts";
import { priorityTone } from "../view/words.ts";
import { Badge } from "./badge.tsx";
import { Link } from "./router.tsx";
import { Ago } from "./time.tsx";

/** An alert in one line. What a cluster wrote is text and nothing else. */
export function AlertLine({ alert }: { readonly alert: Alert }) {
  return (
    <li className="line">
      <Badge tone={priorityTone(alert.priority)}>{alert.priority}</Badge>
      <Link
        to={alertAddress(alert.id, alert.time, alert.clusterId)}
        className="line-main plain"
        title={alert.output}
      >
        {alert.rule}
      </Link>
      <span className="line-rest">
        <Link to={`/clusters/${alert.clusterName}`}>{alert.clusterName}</Link> · <Ago time={alert.time} />
      </span>
    </li>
  );
}
