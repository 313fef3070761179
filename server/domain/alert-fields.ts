/** A value of Falco's `output_fields`, as it is kept: a list or an object is its JSON. */
export type AlertField = string | number | boolean | null;
export type AlertFields = Readonly<Record<string, AlertField>>;

const fieldsMax = 64;
const nameCharsMax = 320;
const valueCharsMax = 4_096;
/** All values of an alert together. */
const charsMax = 16_384;

/**
 * The output fields of an alert's body, in bounds: long values are cut, and what comes after so many characters is left out.
 * A body that is no JSON, or has no fields, has none.
 */
export function fieldsOf(body: string): AlertFields {
  try {
    return boundedFields(JSON.parse(body));
  } catch {
    // The agent may have cut it, and whoever broke in there may send anything, a thousand lists in each other among it.
    return {};
  }
}

function boundedFields(body: unknown): AlertFields {
  if (typeof body !== "object" || body === null || !("output_fields" in body)) return {};
  const { output_fields: fields } = body;
  if (typeof fields !== "object" || fields === null) return {};
  const kept: [string, AlertField][] = [];
  let left = charsMax;
  for (const [name, value] of Object.entries(fields).slice(0, fieldsMax)) {
    const short = bounded(value, Math.min(left, valueCharsMax));
    left -= typeof short === "string" ? short.length : 8;
    if (left <= 0) break;
    kept.push([storable(name.slice(0, nameCharsMax)), short]);
  }
  return Object.fromEntries(kept);
}

function bounded(value: unknown, max: number): AlertField {
  if (typeof value === "number" || typeof value === "boolean" || value === null) return value;
  return storable((typeof value === "string" ? value : JSON.stringify(value)).slice(0, max));
}

/** Postgres takes every character in JSON but NUL and half a pair. */
function storable(text: string): string {
  return text.replaceAll("\0", "\u{FFFD}").toWellFormed();
}

/** Fields that say who did it, the most telling first: the user of a request, then the user of a process. */
export const actorFields: readonly string[] = [
  "ka.user.name",
  "jevt.value[/user/username]",
  "user.name",
  "user.loginname",
  "user.uid",
];

/**
 * Who did it, as far as the rule's output says so; otherwise an empty text. As long as the field is kept: a name that were cut shorter could
 * equal another one, whose silence it would meet.
 */
export function actorOf(fields: AlertFields): string {
  for (const name of actorFields) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    const text = value === undefined || value === null ? "" : `${value}`;
    if (text !== "" && text !== "<NA>") return text;
  }
  return "";
}
