import type { Alert } from "#proto/fleet/v1/alert";
import type { Column } from "./output/table.ts";
import { clean, type Paint, type Tone } from "./output/text.ts";
import { isoOf } from "./views.ts";

/** Columns of `alerts list`. */
export const alertColumns: readonly Column<Alert>[] = [
  { title: "TIME", cell: (alert) => isoOf(alert.time) },
  { title: "CLUSTER", cell: (alert) => alert.clusterName },
  { title: "PRIORITY", cell: (alert) => alert.priority, tone: (alert) => toneOfPriority(alert.priority) },
  { title: "RULE", cell: (alert) => alert.rule },
  { title: "OUTPUT", cell: (alert) => alert.output },
  { title: "AUDIT ID", wide: true, cell: (alert) => alert.auditId },
  { title: "TAGS", wide: true, cell: (alert) => alert.tags.join(",") },
  { title: "ID", wide: true, cell: (alert) => alert.id },
];

/** One alert as one line, for `alerts tail`. */
export function alertLine(alert: Alert, paint: Paint): string {
  const tone = toneOfPriority(alert.priority);
  const priority = tone === undefined ? clean(alert.priority) : paint(tone, clean(alert.priority));
  return `${isoOf(alert.time)} ${clean(alert.clusterName)} ${priority} ${clean(alert.rule)}: ${clean(alert.output)}`;
}

function toneOfPriority(priority: string): Tone | undefined {
  if (["Emergency", "Alert", "Critical", "Error"].includes(priority)) return "bad";
  return priority === "Warning" ? "busy" : undefined;
}
