import type { TraceSettings } from "./settings.ts";
import type { Traceparent } from "./traceparent.ts";

/** What is said about a span. Never a secret, a record or an alert. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** As OpenTelemetry means it: who calls, who is called, who hands on, who takes later, or none of them. */
export type SpanKind = "internal" | "client" | "server" | "producer" | "consumer";

export interface SpanStart {
  readonly kind?: SpanKind;
  /** Without one, it begins a trace. */
  readonly parent?: Traceparent | undefined;
  readonly attributes?: Attributes;
}

/** A span that is over when it is written. */
export interface SpanRecord extends SpanStart {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Who it is by `contextOf()`; without it, it gets an id of its own. */
  readonly as?: Traceparent;
  /** Why it failed, in words. */
  readonly error?: string | undefined;
}

export interface Span {
  /** To be handed on to whoever goes on with the work; undefined while traces are off. */
  readonly context: Traceparent | undefined;
  note(attributes: Attributes): void;
  /** With why it failed, if it did. Only the first end counts. */
  end(error?: string): void;
}

/** Spans since the start, by what became of them. */
export interface SpanCounts {
  readonly exported: number;
  /** The collector did not take them in time. */
  readonly failed: number;
  /** There was no room for them. */
  readonly dropped: number;
  /** Whoever called asked for more than is recorded for one caller. */
  readonly limited: number;
}

/** Writes down what happens. Nothing that it does can fail, or makes anybody wait. */
export interface Traces {
  readonly isOn: boolean;
  begin(name: string, start?: SpanStart): Span;
  /** The context of what was written; undefined while traces are off. */
  record(span: SpanRecord): Traceparent | undefined;
  /** A caller's wish to be recorded was not followed. */
  limited(): void;
  counts(): SpanCounts;
  /** Sends what waits, as far as that goes within this time. */
  stop(withinMs: number): Promise<void>;
}

const noSpan: Span = { context: undefined, note: () => {}, end: () => {} };
const noCounts: SpanCounts = { exported: 0, failed: 0, dropped: 0, limited: 0 };

/** Traces that are off. */
export const noTraces: Traces = {
  isOn: false,
  begin: () => noSpan,
  record: () => undefined,
  limited: () => {},
  counts: () => noCounts,
  stop: () => Promise.resolve(),
};

export interface OpenTraces {
  /** Undefined leaves them off. */
  readonly settings: TraceSettings | undefined;
  readonly version: string;
  /** Told that spans do not arrive, at most once a minute, and that they do again. */
  readonly onTrouble: (message: string) => void;
}

/** Loads OpenTelemetry, and only where traces are on. */
export async function openTraces({ settings, version, onTrouble }: OpenTraces): Promise<Traces> {
  if (settings === undefined) return noTraces;
  const { startTraces } = await import("./opentelemetry.ts");
  return startTraces(settings, version, onTrouble);
}
