/** OpenTelemetry, which is loaded where traces are on and nowhere else. */
import { randomBytes } from "node:crypto";
import * as otel from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  detectResources,
  envDetector,
  resourceFromAttributes,
  type Resource,
} from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
} from "@opentelemetry/sdk-trace";
import { boundedProcessor } from "./processor.ts";
import type { TraceSettings } from "./settings.ts";
import { isRecorded, spanIdOf, traceIdOf, traceparentOf, type Traceparent } from "./traceparent.ts";
import type { Span, SpanKind, SpanStart, Traces } from "./traces.ts";

const kinds: Readonly<Record<SpanKind, otel.SpanKind>> = {
  internal: otel.SpanKind.INTERNAL,
  client: otel.SpanKind.CLIENT,
  server: otel.SpanKind.SERVER,
  producer: otel.SpanKind.PRODUCER,
  consumer: otel.SpanKind.CONSUMER,
};
const valueCharsMax = 1_024;

export function startTraces(
  settings: TraceSettings,
  version: string,
  onTrouble: (message: string) => void,
): Traces {
  const { queueMax, batchMax, delayMs, timeoutMs } = settings;
  const exporter = new OTLPTraceExporter(timeoutMs === undefined ? {} : { timeoutMillis: timeoutMs });
  const bounded = boundedProcessor(exporter, queueMax, onTrouble, (counted) => {
    return new BatchSpanProcessor({
      exporter: counted,
      maxQueueSize: queueMax,
      maxExportBatchSize: batchMax,
      scheduledDelayMillis: delayMs,
    });
  });
  const ids = new Ids();
  const provider = new TracerProvider({
    sampler: samplerOf(settings),
    resource: resourceOf(settings.serviceName, version),
    spanProcessors: [bounded.processor],
    idGenerator: ids,
    spanLimits: { attributeValueLengthLimit: valueCharsMax, attributeCountLimit: 32, eventCountLimit: 32 },
  });
  const tracer = provider.getTracer("falconry", version);
  let limited = 0;
  const start = (name: string, { kind = "internal", parent, attributes = {} }: SpanStart, startMs?: number) =>
    tracer.startSpan(
      name,
      { kind: kinds[kind], attributes, ...(startMs === undefined ? {} : { startTime: timeOf(startMs) }) },
      parent === undefined ? otel.ROOT_CONTEXT : otel.trace.setSpanContext(otel.ROOT_CONTEXT, remote(parent)),
    );
  return {
    isOn: true,
    begin: (name, options = {}) => spanOf(start(name, options)),
    record: (record) => {
      ids.next = record.as === undefined ? undefined : spanIdOf(record.as);
      const span = start(record.name, record, record.startMs);
      ids.next = undefined;
      fail(span, record.error);
      span.end(timeOf(Math.max(record.startMs, record.endMs)));
      return contextOfSpan(span);
    },
    limited: () => {
      limited += 1;
    },
    counts: () => ({ ...bounded.counts(), limited }),
    stop: async (withinMs) => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, withinMs);
      });
      // What does not arrive was counted and told already.
      const sent = provider.shutdown().catch(() => {});
      await Promise.race([sent.then(() => bounded.idle()), late]);
      clearTimeout(timer);
    },
  };
}

/** Milliseconds since 1970 as seconds and nanoseconds; a number may be taken for a time since the start of the process. */
function timeOf(ms: number): otel.HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}

function spanOf(span: otel.Span): Span {
  return {
    context: contextOfSpan(span),
    note: (attributes) => {
      span.setAttributes(attributes);
    },
    end: (error) => {
      fail(span, error);
      span.end();
    },
  };
}

function fail(span: otel.Span, error: string | undefined): void {
  if (error === undefined) return;
  span.setStatus({ code: otel.SpanStatusCode.ERROR, message: error.slice(0, valueCharsMax) });
}

function contextOfSpan(span: otel.Span): Traceparent {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return traceparentOf(traceId, spanId, (traceFlags & otel.TraceFlags.SAMPLED) !== 0);
}

function remote(parent: Traceparent): otel.SpanContext {
  const traceFlags = isRecorded(parent) ? otel.TraceFlags.SAMPLED : otel.TraceFlags.NONE;
  return { traceId: traceIdOf(parent), spanId: spanIdOf(parent), traceFlags, isRemote: true };
}

/** Random ids, and where a span has one already, that one. */
class Ids {
  next: string | undefined;

  generateTraceId(): string {
    return randomBytes(16).toString("hex");
  }

  generateSpanId(): string {
    return this.next ?? randomBytes(8).toString("hex");
  }
}

function samplerOf({ sampler, ratio }: TraceSettings): Sampler {
  const root = sampler.endsWith("always_on")
    ? new AlwaysOnSampler()
    : sampler.endsWith("always_off")
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(ratio);
  return sampler.startsWith("parentbased_") ? new ParentBasedSampler({ root }) : root;
}

/** Who writes: what OTEL_RESOURCE_ATTRIBUTES says, and what is known here. */
function resourceOf(serviceName: string, version: string): Resource {
  const own = resourceFromAttributes({ "service.name": serviceName, "service.version": version });
  return detectResources({ detectors: [envDetector] }).merge(own);
}
