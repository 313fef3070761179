import { createHash } from "node:crypto";

/** Where a span stands: its trace, itself, and whether it is recorded, as W3C Trace Context writes it. */
export type Traceparent = string & { readonly brand: "Traceparent" };

/** Version 00 alone: its length is fixed, and there is no other yet. */
const form = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const length = 55;
const nothing = /^0+$/;

/** Undefined for anything that is no trace context of version 00, whoever sent it and however long it is. */
export function parseTraceparent(text: string): Traceparent | undefined {
  if (text.length !== length) return undefined;
  const [, traceId = "", spanId = ""] = form.exec(text) ?? [];
  if (traceId === "" || nothing.test(traceId) || nothing.test(spanId)) return undefined;
  return text as Traceparent;
}

export function traceparentOf(traceId: string, spanId: string, isRecorded: boolean): Traceparent {
  return `00-${traceId}-${spanId}-${isRecorded ? "01" : "00"}` as Traceparent;
}

export function traceIdOf(context: Traceparent): string {
  return context.slice(3, 35);
}

export function spanIdOf(context: Traceparent): string {
  return context.slice(36, 52);
}

/** Whether whoever made it records the trace. */
export function isRecorded(context: Traceparent): boolean {
  return (Number.parseInt(context.slice(53), 16) & 1) === 1;
}

/**
 * The context of the span of a trace that a key names. It is the same wherever it is asked for, so that one process can name
 * a span as the parent long before another one, which sees its end, writes it.
 */
export function contextOf(trace: Traceparent, key: string): Traceparent {
  const digest = createHash("sha256")
    .update(`${traceIdOf(trace)} ${key}`)
    .digest("hex");
  return traceparentOf(traceIdOf(trace), digest.slice(0, 16), isRecorded(trace));
}
