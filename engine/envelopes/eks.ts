import { kinds } from "../json/document.ts";
import type { JsonTape } from "../json/tape.ts";
import { entriesOf, isObject, member, type Opening, text } from "./envelope.ts";

const auditStream = "kube-apiserver-audit";
const otherStreams = ["kube-", "authenticator-", "cloud-controller-manager-"];
/** What CloudWatch ends a message with that was too long for it. */
const cutMark = "[Truncated...]";

/**
 * EKS: what CloudWatch Logs delivers to subscribers (`logEvents`), what its API returns (`events`), or one log event. Each
 * `message` holds an audit event as JSON text. Other log streams of the control plane hold no audit events and are passed over.
 */
export function openEks(tape: JsonTape, root: number, into: Opening): boolean {
  if (!isObject(tape, root)) return false;
  for (const key of ["logEvents", "events"]) {
    const events = member(tape, root, key);
    if (events < 0 || tape.kind(events) !== kinds.array) continue;
    const entries = entriesOf(tape, events);
    if (key === "events" && !entries.every((entry) => isLogEvent(tape, entry))) return false;
    // A message that only tells that the subscription works.
    if (text(tape, root, "messageType") === "CONTROL_MESSAGE") return true;
    const stream = text(tape, root, "logStream");
    for (const entry of entries) openEntry(tape, entry, stream, into);
    return true;
  }
  if (!isLogEvent(tape, root)) return false;
  openEntry(tape, root, undefined, into);
  return true;
}

function isLogEvent(tape: JsonTape, node: number): boolean {
  return (
    isObject(tape, node) && text(tape, node, "message") !== undefined && member(tape, node, "timestamp") >= 0
  );
}

function openEntry(tape: JsonTape, entry: number, stream: string | undefined, into: Opening): void {
  const name = text(tape, entry, "logStreamName") ?? stream;
  const isOther = otherStreams.some((prefix) => name?.startsWith(prefix) === true);
  if (isOther && name?.startsWith(auditStream) !== true) return;
  const message = isObject(tape, entry) ? text(tape, entry, "message") : undefined;
  if (message === undefined) into.problem("a log event has no message");
  else if (message.endsWith(cutMark)) into.problem("the message of a log event is truncated");
  else into.text(message, "the message of a log event is no audit event in JSON");
}
