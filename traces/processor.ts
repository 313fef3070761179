import type { ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace";
import type { SpanCounts } from "./traces.ts";

/** A processor that holds no more than it may, and what became of the spans that it was given. */
export interface BoundedProcessor {
  readonly processor: SpanProcessor;
  counts(): Omit<SpanCounts, "limited">;
  /** Resolves when nothing waits and nothing is on its way. */
  idle(): Promise<void>;
}

const tellMs = 60_000;
/** As OpenTelemetry numbers what came of an export. */
const success = 0;

/**
 * Counts every span at its end as sent, failed or dropped. The queue of OpenTelemetry lets go of spans without a word; here a
 * span that has no room is counted before it gets there, those that are on their way included.
 */
export function boundedProcessor(
  exporter: SpanExporter,
  queueMax: number,
  onTrouble: (message: string) => void,
  batching: (exporter: SpanExporter) => SpanProcessor,
): BoundedProcessor {
  let waiting = 0;
  let exported = 0;
  let failed = 0;
  let dropped = 0;
  let whenIdle: (() => void)[] = [];
  const tell = trouble(onTrouble);
  const counted: SpanExporter = {
    export: (spans, done) => {
      exporter.export(spans, (result) => {
        waiting -= spans.length;
        const code: number = result.code;
        const isSent = code === success;
        if (isSent) exported += spans.length;
        else failed += spans.length;
        tell(isSent ? undefined : (result.error?.message ?? "no reason was given"), failed);
        done(result);
        if (waiting > 0) return;
        for (const resolve of whenIdle) resolve();
        whenIdle = [];
      });
    },
    shutdown: () => exporter.shutdown(),
  };
  const inner = batching(counted);
  return {
    processor: {
      onStart: (span, context) => inner.onStart(span, context),
      onEnd: (span: ReadableSpan) => {
        if ((span.spanContext().traceFlags & 1) === 0) return;
        if (waiting >= queueMax) {
          dropped += 1;
          return;
        }
        waiting += 1;
        inner.onEnd(span);
      },
      forceFlush: () => inner.forceFlush(),
      shutdown: () => inner.shutdown(),
    },
    counts: () => ({ exported, failed, dropped }),
    idle: () =>
      new Promise((resolve) => {
        if (waiting === 0) resolve();
        else whenIdle.push(resolve);
      }),
  };
}

/** Tells of trouble once a minute at most, and once when it is over. */
function trouble(onTrouble: (message: string) => void): (why: string | undefined, failed: number) => void {
  let toldAt: number | undefined;
  return (why, failed) => {
    if (why === undefined) {
      if (toldAt !== undefined) onTrouble("Spans arrive at the collector again");
      toldAt = undefined;
      return;
    }
    if (toldAt !== undefined && performance.now() - toldAt < tellMs) return;
    toldAt = performance.now();
    onTrouble(`Spans do not arrive at the collector, ${failed} are lost so far: ${why.slice(0, 300)}`);
  };
}
