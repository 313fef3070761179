import { priorities } from "#engine";
import type { Alert } from "#engine";
import { findValue, RecordKey, textOf } from "./json-walk.ts";
import type { Steps } from "./json-walk.ts";

const steps = (...names: readonly string[]): Steps => names.map((name) => new RecordKey(name));
const paths = {
  rule: steps("rule"),
  priority: steps("priority"),
  source: steps("source"),
  time: steps("time"),
  output: steps("output"),
  message: steps("message"),
  tags: steps("tags"),
  auditId: steps("output_fields", "ka.auditid"),
};
const names: ReadonlySet<string> = new Set(priorities);
const tagsMax = 64;
/** What Falco says about itself with `metrics.output_rule`: figures, and nothing that anybody has to look at. */
const figures = "Falco internal: metrics snapshot";

/**
 * The alert in a line of Falco's `json_output`; undefined when the line is none. `bytes` have to be a JSON object. The body is
 * Falco's own, byte for byte.
 */
export function readFalcoAlert(bytes: Buffer, start: number, end: number): Alert | undefined {
  const text = (path: Steps): string | undefined => {
    const found = findValue(bytes, start, path);
    return found === undefined || bytes[found.start] !== 0x22
      ? undefined
      : textOf(bytes, found.start, found.end);
  };
  const rule = text(paths.rule);
  const priority = text(paths.priority);
  const time = text(paths.time);
  if (rule === undefined || rule === "" || rule === figures) return undefined;
  if (priority === undefined || !names.has(priority)) return undefined;
  if (time === undefined || !isTime(time)) return undefined;
  const tags = findValue(bytes, start, paths.tags);
  return {
    rule,
    priority,
    source: text(paths.source) ?? "syscall",
    tags: tags === undefined ? [] : readTags(bytes.toString("utf8", tags.start, tags.end)),
    time,
    output: text(paths.output) ?? text(paths.message) ?? rule,
    body: bytes.toString("utf8", start, end),
    auditId: text(paths.auditId) ?? "",
  };
}

const logged = { log: steps("log"), stream: steps("stream"), part: steps("_p") };
const nothing = Buffer.from("{}");

/**
 * What a program wrote as a line of its container's log: its bytes, or those of an empty object when they are none that hold an
 * alert. Undefined for a record that is no line of such a log.
 */
export function loggedLine(bytes: Buffer, start: number): Buffer | undefined {
  const found = findValue(bytes, start, logged.log);
  const isLine =
    found !== undefined &&
    findValue(bytes, start, logged.stream) !== undefined &&
    findValue(bytes, start, logged.part) !== undefined;
  if (!isLine) return undefined;
  const text = textOf(bytes, found.start, found.end);
  if (!text?.startsWith("{")) return nothing;
  try {
    JSON.parse(text);
    return Buffer.from(text);
  } catch {
    return nothing;
  }
}

/** RFC 3339 in UTC, with up to nine digits. */
function isTime(text: string): boolean {
  const [, whole] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z$/.exec(text) ?? [];
  return whole !== undefined && !Number.isNaN(Date.parse(`${whole}Z`));
}

function readTags(text: string): readonly string[] {
  if (!text.startsWith("[")) return [];
  const tags = JSON.parse(text) as readonly unknown[];
  return tags.filter((tag): tag is string => typeof tag === "string").slice(0, tagsMax);
}
