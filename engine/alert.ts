import type { FieldValue } from "./fields/field.ts";

/** One detection, with Falco's JSON for it. */
export interface Alert {
  readonly rule: string;
  /** As a word: Emergency, Alert, Critical, Error, Warning, Notice, Informational or Debug. */
  readonly priority: string;
  readonly source: string;
  /** In alphabetical order. */
  readonly tags: readonly string[];
  /** RFC 3339 in UTC with nine digits: the time of the event, not of the detection. */
  readonly time: string;
  /** The whole line, with time and priority in front. */
  readonly output: string;
  /** One line of JSON, keys in alphabetical order, byte for byte as Falco writes it. */
  readonly body: string;
  /** The event's auditID, or an empty text. Clients can choose it, so it is no proof of identity. */
  readonly auditId: string;
}

export interface AlertParts extends Omit<Alert, "body"> {
  readonly hostname: string;
  readonly fields: readonly { readonly key: string; readonly value: FieldValue }[];
}

/** Writes the alert as JSON. Times are whole nanoseconds, which JSON.stringify could not write exactly. */
export function renderAlert(parts: AlertParts): string {
  const fields = parts.fields.map(({ key, value }) => `${json(key)}:${fieldJson(value)}`);
  const members = [
    `"hostname":${json(parts.hostname)}`,
    `"output":${json(parts.output)}`,
    `"output_fields":{${fields.join(",")}}`,
    `"priority":${json(parts.priority)}`,
    `"rule":${json(parts.rule)}`,
    `"source":${json(parts.source)}`,
    `"tags":[${parts.tags.map(json).join(",")}]`,
    `"time":${json(parts.time)}`,
  ];
  return `{${members.join(",")}}`;
}

const json = (text: string): string => JSON.stringify(text.toWellFormed());

function fieldJson(value: FieldValue): string {
  if (value === undefined) return "null";
  if (typeof value === "string") return json(value);
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  return `[${value.map(fieldJson).join(",")}]`;
}
