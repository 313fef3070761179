import { kinds, type JsonTape } from "./json/tape.ts";
import { parseTime } from "./time.ts";
import { utf8Length } from "./utf8.ts";
import { valueText } from "./json/text.ts";

/** An event inside a payload. */
export interface AuditEvent {
  readonly root: number;
  readonly timeNs: bigint;
}

export interface Payload {
  readonly events: readonly AuditEvent[];
  /** Why parts of the payload, or all of it, were dropped. */
  readonly problems: readonly string[];
}

/** At most this many problems of one payload are spelled out. */
const problemsMax = 20;

const notRecognized = "data not recognized as a k8s audit event";

class Rejection extends Error {}

/**
 * Finds the audit events of a payload: one Event, an EventList, or arrays of those, nested at will. One bad
 * element of an array drops the whole payload; a bad item of an EventList drops only itself.
 */
export function findEvents(tape: JsonTape, root: number, eventBytesMax: number): Payload {
  const problems: string[] = [];
  try {
    const events = collect(tape, root, eventBytesMax, problems);
    return { events, problems: shortened(problems) };
  } catch (error) {
    if (!(error instanceof Rejection)) throw error;
    problems.push(error.message);
    return { events: [], problems: shortened(problems) };
  }
}

function collect(tape: JsonTape, node: number, bytesMax: number, problems: string[]): AuditEvent[] {
  if (tape.kind(node) === kinds.array) {
    return children(tape, node).flatMap((item) => collect(tape, item, bytesMax, problems));
  }
  const kind = tape.member(node, "kind");
  if (isText(tape, kind, "Event")) return [readEvent(tape, node, bytesMax)];
  const items = isText(tape, kind, "EventList") ? children(tape, tape.member(node, "items")) : [];
  if (items.length === 0) throw new Rejection(notRecognized);
  return items.flatMap((item) => {
    try {
      return [readEvent(tape, item, bytesMax)];
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      problems.push(error.message);
      return [];
    }
  });
}

function readEvent(tape: JsonTape, root: number, bytesMax: number): AuditEvent {
  const stamp = tape.member(root, "stageTimestamp");
  if (stamp < 0) throw new Rejection("can't read stageTimestamp");
  const text = valueText(tape, stamp);
  const timeNs = parseTime(text);
  if (timeNs === undefined) {
    throw new Rejection(`cannot parse stageTimestamp '${text.slice(0, 64)}' as an RFC 3339 time`);
  }
  const length = tape.end(root) - tape.start(root);
  // Only a text near the limit is worth counting in bytes.
  if (length * 3 > bytesMax && utf8Length(tape.text.slice(tape.start(root), tape.end(root))) > bytesMax) {
    throw new Rejection(`event dropped: larger than ${bytesMax} bytes`);
  }
  return { root, timeNs };
}

function children(tape: JsonTape, node: number): number[] {
  const nodes: number[] = [];
  if (node < 0 || tape.kind(node) !== kinds.array) return nodes;
  for (let item = tape.first(node); item < tape.next(node); item = tape.next(item)) nodes.push(item);
  return nodes;
}

function isText(tape: JsonTape, node: number, text: string): boolean {
  return node >= 0 && tape.is(node, text);
}

/** The first of many problems, and how many more there are. */
export function shortened(problems: readonly string[]): readonly string[] {
  if (problems.length <= problemsMax) return problems;
  return [...problems.slice(0, problemsMax), `and ${problems.length - problemsMax} problems more`];
}
