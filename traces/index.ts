/** What happens to a rollout, from command to proof, in the words of OpenTelemetry. */
export { readTraceSettings, traceSwitch, type TraceSettings } from "./settings.ts";
export {
  contextOf,
  isRecorded,
  parseTraceparent,
  traceIdOf,
  traceparentOf,
  type Traceparent,
} from "./traceparent.ts";
export {
  noTraces,
  openTraces,
  type Attributes,
  type Span,
  type SpanCounts,
  type SpanKind,
  type SpanRecord,
  type SpanStart,
  type Traces,
} from "./traces.ts";
