import { kinds, type JsonTape } from "./json/tape.ts";
import { parseTime } from "./time.ts";
import { utf8Length } from "./utf8.ts";
import { compact, wholeText } from "./json/text.ts";

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
 * Finds the audit events of a payload: one Event, an EventList, or arrays of those, nested at will. An element of an array
 * that is none of these drops the whole payload; an event without a proper time, or one that is too large, only itself.
 */
export function findEvents(tape: JsonTape, root: number, eventBytesMax: number): Payload {
  const problems: string[] = [];
  try {
    const events = collect(tape, root, eventBytesMax, problems);
    return { events, problems: shortened(problems) };
  } catch (error) {
    if (!(error instanceof Rejection)) throw error;
    return { events: [], problems: [error.message] };
  }
}

function collect(tape: JsonTape, node: number, bytesMax: number, problems: string[]): AuditEvent[] {
  if (tape.kind(node) === kinds.array) {
    return children(tape, node).flatMap((item) => collect(tape, item, bytesMax, problems));
  }
  const kind = tape.member(node, "kind");
  const isList = isText(tape, kind, "EventList");
  const items = isList ? children(tape, tape.member(node, "items")) : [node];
  if (items.length === 0 || (!isList && !isText(tape, kind, "Event"))) throw new Rejection(notRecognized);
  return items.flatMap((item) => {
    const event = readEvent(tape, item, bytesMax);
    if (typeof event !== "string") return [event];
    problems.push(event);
    return [];
  });
}

/** An event, or why it is dropped. */
function readEvent(tape: JsonTape, root: number, bytesMax: number): AuditEvent | string {
  const stamp = tape.member(root, "stageTimestamp");
  if (stamp < 0) return "can't read stageTimestamp";
  const isString = tape.kind(stamp) === kinds.string || tape.kind(stamp) === kinds.escaped;
  const text = wholeText(tape, stamp);
  const timeNs = isString ? parseTime(text) : undefined;
  if (timeNs === undefined) {
    return `cannot parse stageTimestamp '${text.slice(0, 64)}' as an RFC 3339 time`;
  }
  if (isLarger(tape, root, bytesMax)) return `event dropped: larger than ${bytesMax} bytes`;
  return { root, timeNs };
}

/** Whether an event takes more bytes than it may, blanks between its tokens not counted. */
function isLarger(tape: JsonTape, root: number, bytesMax: number): boolean {
  const [start, end] = [tape.start(root), tape.end(root)];
  // Only a text near the limit is worth counting in bytes, and only one beyond it worth writing anew.
  if ((end - start) * 3 <= bytesMax || utf8Length(tape.text.slice(start, end)) <= bytesMax) return false;
  return utf8Length(compact(tape, root)) > bytesMax;
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
