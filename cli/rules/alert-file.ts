import { splitJsonArray } from "./json-values.ts";

/** What an alert says of one event: texts, and lists of texts; missing fields are left out. */
export type AlertFields = Readonly<Record<string, string | readonly string[]>>;

/** An alert as Falco's JSON holds it. */
export interface RecordedAlert {
  readonly rule: string;
  readonly fields: AlertFields;
}

/** Alerts, and how many of the texts between them were none. */
export interface RecordedAlerts {
  readonly alerts: readonly RecordedAlert[];
  readonly unreadable: number;
}

const alertsMax = 500_000;

/** Reads alerts as Falco and `rules run` print them. Later ones than the bound are left out and counted as unreadable. */
export async function readAlerts(batches: AsyncIterable<readonly string[]>): Promise<RecordedAlerts> {
  const alerts: RecordedAlert[] = [];
  let unreadable = 0;
  for await (const batch of batches) {
    for (const text of batch.flatMap((payload) => splitJsonArray(payload) ?? [payload])) {
      if (text.trim() === "") continue;
      const alert = alerts.length < alertsMax ? parseAlert(text) : undefined;
      if (alert === undefined) unreadable++;
      else alerts.push(alert);
    }
  }
  return { alerts, unreadable };
}

/** Reads one alert; undefined when the text is none. */
export function parseAlert(text: string): RecordedAlert | undefined {
  let value: { rule?: unknown; output_fields?: unknown } | null;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || typeof value.rule !== "string") return undefined;
  const { rule, output_fields: fields } = value;
  if (typeof fields !== "object" || fields === null) return undefined;
  const known = new Map<string, string | readonly string[]>();
  for (const [field, found] of Object.entries(fields) as [string, unknown][]) {
    if (typeof found === "string") known.set(field, found);
    const isTexts = Array.isArray(found) && found.length > 0 && found.every((one) => typeof one === "string");
    if (isTexts) known.set(field, found);
  }
  return { rule, fields: Object.fromEntries(known) };
}
