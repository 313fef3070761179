import { compileOutput } from "./output.ts";
import type { Frame, Read, Slots } from "./compile.ts";
import type { Compat, FieldValue } from "./fields/field.ts";
import { valueText } from "./json/text.ts";
import type { CompiledRule } from "./ruleset.ts";
import { formatTime, zonedTime } from "./time.ts";

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

/** How alerts are written. What is left out is as in Falco without configuration. */
export interface AlertFormat {
  /** Put `2024-01-02T03:04:05.678901000+0000` in front of the line instead of the time of day. Always UTC. */
  readonly timeFormatIso8601?: boolean;
  /** Whether the JSON holds `output`, the line with time and priority in front. Default true. */
  readonly jsonIncludeOutput?: boolean;
  /** Whether the JSON holds `message`, the line without them. Default false. */
  readonly jsonIncludeMessage?: boolean;
  /** Whether the JSON holds `output_fields`. Default true. */
  readonly jsonIncludeOutputFields?: boolean;
  /** Whether the JSON holds `tags`. Default true. */
  readonly jsonIncludeTags?: boolean;
}

/** Writes the alert of a rule about the event in the frame. */
export type AlertWriter = (frame: Frame) => Alert;

interface ListedField {
  readonly key: string;
  readonly read: Read;
}

/** A field with its key as it stands in the JSON. */
interface WrittenField {
  readonly start: string;
  readonly read: Read;
}

/** Prepares the alerts of one rule: its output is compiled and the fields it lists are found once. */
export function alertWriter(
  rule: CompiledRule,
  slots: Slots,
  compat: Compat,
  format: AlertFormat = {},
): AlertWriter {
  const { name, priority, source, tags } = rule;
  const isIso = format.timeFormatIso8601 === true;
  const printer = compileOutput(rule.output, slots, compat, isIso ? "evt.time.iso8601" : "evt.time");
  const fields = listedFields(printer.fields, rule, slots, compat).map(({ key, read }, i) => ({
    start: `${i === 0 ? "" : ","}${json(key)}:`,
    read,
  }));
  const hasOutput = format.jsonIncludeOutput !== false;
  const hasFields = format.jsonIncludeOutputFields !== false;
  const end = [
    `,"priority":${json(priority)}`,
    `,"rule":${json(name)}`,
    `,"source":${json(source)}`,
    format.jsonIncludeTags === false ? "" : `,"tags":[${tags.map(json).join(",")}]`,
  ].join("");
  return (frame) => {
    const { event } = frame;
    const message = printer.print(frame);
    const clock = isIso ? `${formatTime(event.timeNs).slice(0, -1)}+0000` : clockOf(frame);
    const output = `${clock}: ${priority} ${message}`;
    const time = formatTime(event.timeNs);
    let body = `{"hostname":${json(event.hostname)}`;
    if (format.jsonIncludeMessage === true) body += `,"message":${json(message)}`;
    if (hasOutput) body += `,"output":${json(output)}`;
    if (hasFields) body += `,"output_fields":${fieldsJson(fields, frame)}`;
    body += `${end},"time":${json(time)}}`;
    const id = event.isAudit ? valueText(event.tape, event.tape.member(event.root, "auditID")) : "";
    return { rule: name, priority, source, tags, time, output, body, auditId: id };
  };
}

/** Fields of the output and, in place of those of the same name, the extra ones; in alphabetical order. */
function listedFields(
  used: readonly ListedField[],
  rule: CompiledRule,
  slots: Slots,
  compat: Compat,
): readonly ListedField[] {
  const listed = new Map(used.map((field) => [field.key, field]));
  for (const { key, format, isRaw } of rule.extraFields ?? []) {
    const printer = compileOutput(format, slots, compat);
    const raw = isRaw ? printer.fields.find((field) => field.key === key)?.read : undefined;
    listed.set(key, { key, read: raw ?? (isRaw ? () => undefined : printer.print) });
  }
  return [...listed.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Times are whole nanoseconds, which JSON.stringify could not write exactly. */
function fieldsJson(fields: readonly WrittenField[], frame: Frame): string {
  let members = "";
  for (const { start, read } of fields) members += start + fieldJson(read(frame));
  return `{${members}}`;
}

function clockOf({ event }: Frame): string {
  const { clock, nanos } = zonedTime(event);
  return `${clock}.${nanos}`;
}

const json = (text: string): string => JSON.stringify(text.toWellFormed());

function fieldJson(value: FieldValue): string {
  if (value === undefined) return "null";
  if (typeof value === "string") return json(value);
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  return `[${value.map(fieldJson).join(",")}]`;
}
