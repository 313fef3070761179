import type { Alert } from "#proto/fleet/v1/alert";
import type { Response } from "#proto/fleet/v1/response";
import { type Column, renderFields, sectionLines } from "./output/table.ts";
import { clean, type Paint } from "./output/text.ts";
import { toneOfPriority } from "./priority.ts";
import { isoOf } from "./views.ts";

/** Columns of `alerts list`. */
export const alertColumns: readonly Column<Alert>[] = [
  { title: "TIME", cell: (alert) => isoOf(alert.time) },
  { title: "CLUSTER", cell: (alert) => alert.clusterName },
  { title: "PRIORITY", cell: (alert) => alert.priority, tone: (alert) => toneOfPriority(alert.priority) },
  { title: "RULE", cell: (alert) => alert.rule },
  { title: "OUTPUT", cell: (alert) => alert.output },
  { title: "RESPONSES", wide: true, cell: (alert) => alert.responses.map(responseText).join(", ") },
  { title: "AUDIT ID", wide: true, cell: (alert) => alert.auditId },
  { title: "TAGS", wide: true, cell: (alert) => alert.tags.join(",") },
  { title: "ID", wide: true, cell: (alert) => alert.id },
];

/** What was done about an alert: "isolate shop/web-1 done". */
export function responseText({ action, namespace, pod, outcome }: Response): string {
  return [action, pod === "" ? "" : `${namespace}/${pod}`, outcome].filter((each) => each !== "").join(" ");
}

/** One alert as one line, for `alerts tail`. */
export function alertLine(alert: Alert, paint: Paint): string {
  const tone = toneOfPriority(alert.priority);
  const priority = tone === undefined ? clean(alert.priority) : paint(tone, clean(alert.priority));
  return `${isoOf(alert.time)} ${clean(alert.clusterName)} ${priority} ${clean(alert.rule)}: ${clean(alert.output)}`;
}

/** An alert whole, for `alerts show`. */
export function alertLines(alert: Alert): string[] {
  return [
    ...renderFields([
      ["Alert", alert.id],
      ["Rule", alert.rule],
      ["Cluster", alert.clusterName],
      ["Actor", alert.actor],
      ["Priority", alert.priority],
      ["Tags", alert.tags.join(", ")],
      ["Event", isoOf(alert.time)],
      ["Received", isoOf(alert.receivedAt)],
      ["Source", alert.source],
      ["Audit id", alert.auditId],
      ["Rules", alert.rulesDigest],
      ["Group", alert.groupId],
      ["Silence", alert.silenceId],
      ["Output", alert.output],
    ]),
    ...sectionLines(
      "Responses:",
      alert.responses.map((each) => {
        const why = each.why === "" ? "" : `: ${clean(each.why)}`;
        return `${isoOf(each.decidedAt)} ${clean(responseText(each))}${why}`;
      }),
    ),
    ...sectionLines("Fields:", fieldLines(fieldsIn(alert.body))),
  ];
}

/** Falco's output fields in its JSON. */
function fieldsIn(body: string): Readonly<Record<string, unknown>> {
  const { output_fields: fields } = JSON.parse(body === "" ? "{}" : body) as {
    readonly output_fields?: Readonly<Record<string, unknown>>;
  };
  return fields ?? {};
}

/** Names and values, a line each. */
export function fieldLines(fields: Readonly<Record<string, unknown>>): readonly string[] {
  return renderFields(
    Object.entries(fields).map(([name, value]) => [
      clean(name),
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}
