import type { Alert, DeliverAlertsRequest } from "#proto/agent/v1/agent";

import { actorOf, fieldsOf } from "../../domain/alert-fields.ts";
import { digestFromBytes } from "../../domain/ids.ts";
import { priorityNumber } from "../../domain/priority.ts";
import { accept, refuse, type Outcome, type Problem } from "../../domain/refusal.ts";
import { dateOf, text } from "../../sessions/read-request.ts";
import type { AlertRow } from "../../store/alert-intake.ts";

export const alertsMax = 500;
const bodyBytesMax = 64 * 1024;
const tagsMax = 64;

/** Reads alerts as they are stored, or names every one that is out of bounds. */
export function readAlerts(
  request: DeliverAlertsRequest,
  from: { readonly clusterId: string; readonly agentId: string },
): Outcome<readonly AlertRow[]> {
  if (request.alerts.length > alertsMax) {
    const why = `holds ${request.alerts.length}; at most ${alertsMax} are allowed in one call`;
    return refuse({ kind: "invalid", problems: [{ field: "alerts", why }] });
  }
  const rows: AlertRow[] = [];
  const problems: Problem[] = [];
  for (const [i, alert] of request.alerts.entries()) {
    const row = readAlert(alert, from);
    if (typeof row === "string") problems.push({ field: `alerts[${i}]`, why: row });
    else rows.push(row);
  }
  return problems.length > 0 ? refuse({ kind: "invalid", problems: problems.slice(0, 10) }) : accept(rows);
}

function readAlert(
  alert: Alert,
  from: { readonly clusterId: string; readonly agentId: string },
): AlertRow | string {
  const time = dateOf(alert.time);
  const priority = priorityNumber(alert.priority);
  const rulesDigest = digestFromBytes(alert.rulesDigest);
  if (!/^[0-9a-f]{64}$/.test(alert.id)) return "id is not 64 hex digits";
  if (alert.rule === "" || alert.rule.length > 300) return "rule is empty or longer than 300 characters";
  if (priority === undefined) return `priority "${alert.priority.slice(0, 40)}" is none of Falco's`;
  if (alert.time === undefined || time === undefined) return "time is missing or out of range";
  if (rulesDigest === undefined) return "rules_digest is not 32 bytes";
  if (Buffer.byteLength(alert.body) > bodyBytesMax) return `body has more than ${bodyBytesMax} bytes`;
  if (alert.output.length > bodyBytesMax) return `output has more than ${bodyBytesMax} characters`;
  if (alert.tags.length > tagsMax) return `tags holds more than ${tagsMax}`;
  const fields = fieldsOf(alert.body);
  return {
    ...from,
    id: alert.id,
    // Postgres keeps microseconds; cutting off the rest gives the same time for the same alert.
    timeUs: alert.time.seconds * 1_000_000n + BigInt(Math.trunc(alert.time.nanos / 1000)),
    rule: text(alert.rule, 300),
    priority,
    source: text(alert.source, 100),
    output: text(alert.output, bodyBytesMax),
    body: text(alert.body, bodyBytesMax),
    auditId: text(alert.auditId, 200),
    tags: alert.tags.map((tag) => text(tag, 200)),
    rulesDigest,
    actor: actorOf(fields),
    fields,
  };
}
