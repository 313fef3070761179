import { createHash } from "node:crypto";
import type { Alert, AuditRecords } from "#engine";
import { isCanary } from "../domain/canary.ts";
import type { PipelineAlert } from "./batch.ts";

/** Where a record stood: with the record itself enough to know it again after a crash. */
export interface SourcePosition {
  /** The number of the file in which the record stood first; 0 for what comes from no file. */
  readonly inode: number;
  /** Names the content of the file: see TailFile.origin. */
  readonly origin: string;
  readonly offset: number;
  /** What rules of source `syscall` look at, instead of the record. */
  readonly syscalls?: AuditRecords;
}

const bodyBytesMax = 64 * 1024;
const parkedPrefix = "parked ";

/** The origin of what was set aside in a file of the dead letter folder, and is fed again by hand. */
export function parkedOrigin(file: string): string {
  return `${parkedPrefix}${file}`;
}

/** Whether a record is fed again by hand: whoever edited it could have written anything, and what it is about is over. */
export function isParked({ origin }: SourcePosition): boolean {
  return origin.startsWith(parkedPrefix);
}

/**
 * The content id of an alert: the same for the same record at the same place, so that reading it twice alerts once, and
 * never made from the audit id, which clients may choose. `nth` tells apart alerts of one rule over one line.
 */
export function alertId(
  clusterId: string,
  position: SourcePosition,
  rule: string,
  nth: number,
  record: Uint8Array,
): string {
  const content = createHash("sha256").update(record).digest("hex");
  const { inode, origin, offset } = position;
  const named = JSON.stringify([clusterId, inode, origin, offset, rule, nth, content]);
  return createHash("sha256").update(named).digest("hex");
}

/**
 * The alert about an event that a mask hides. Rules of source `syscall` look at decoded lines, and nobody can say which of
 * their fields a mask over the record means: so the alert says that the rule fired, when, and nothing of the event.
 */
export function withoutFields(alert: Alert): Alert {
  const output = `${alert.rule} (a mask hides the fields of the event)`;
  const body = JSON.parse(alert.body) as Record<string, unknown>;
  const names = Object.keys((body["output_fields"] as object | undefined) ?? {});
  const hidden = { output_fields: Object.fromEntries(names.map((name) => [name, null])) };
  const text = JSON.stringify({ ...body, output, ...(names.length === 0 ? {} : hidden) });
  return { ...alert, output, body: text };
}

/**
 * The alert as it travels. A body beyond 64 KiB is replaced by its essence, which says so. `readAtMs` is when the agent had read the
 * record, 0 when that is not known.
 */
export function toPipelineAlert(
  alert: Alert,
  id: string,
  body: string,
  rulesDigest: string,
  readAtMs: number,
): PipelineAlert {
  const { rule, priority, source, time, output, auditId, tags } = alert;
  const isLong = Buffer.byteLength(body) > bodyBytesMax;
  const short = { output: output.slice(0, 8192), priority, rule, source, tags, time, truncated: true };
  return {
    id,
    rule,
    priority,
    source,
    time,
    output: output.slice(0, 16_384),
    body: isLong ? JSON.stringify(short) : body,
    auditId,
    tags,
    rulesDigest,
    ...(readAtMs > 0 && isCanary(body) ? { hops: { readMs: readAtMs, matchedMs: Date.now() } } : {}),
  };
}
