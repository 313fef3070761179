/** How spans are made and where they go. What the exporter of OpenTelemetry reads by itself is not repeated here. */
export interface TraceSettings {
  readonly serviceName: string;
  readonly sampler: SamplerName;
  /** Of 1, for the samplers that take a part. */
  readonly ratio: number;
  /** Spans that wait to be sent; more are let go and counted. */
  readonly queueMax: number;
  readonly batchMax: number;
  readonly delayMs: number;
  /** How long a batch may take; undefined leaves it to the environment. */
  readonly timeoutMs?: number;
}

const samplers = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;
export type SamplerName = (typeof samplers)[number];

type Env = Readonly<Record<string, string | undefined>>;

/** The one switch; everything else has the names and the meanings of OpenTelemetry. */
export const traceSwitch = "FALCONRY_TRACES";

/** What is wrong with the environment, or the settings; undefined settings are traces that are off. */
export type ReadTraces =
  | { readonly ok: true; readonly settings: TraceSettings | undefined }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads the environment; of a process without the switch it reads nothing else. Nothing secret is in a problem. */
export function readTraceSettings(env: Env, program: string): ReadTraces {
  const wanted = env[traceSwitch] ?? "";
  if (wanted === "" || wanted === "off") return { ok: true, settings: undefined };
  if (wanted !== "otlp") {
    return { ok: false, problems: [`${traceSwitch} is "${wanted.slice(0, 40)}": use otlp or off`] };
  }
  if (env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true") return { ok: true, settings: undefined };
  const problems = [...protocolProblems(env), ...endpointProblems(env)];
  const whole = (name: string, fallback: number, min: number, max: number): number => {
    const text = env[name] ?? "";
    if (text === "") return fallback;
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    problems.push(`${name} is "${text.slice(0, 40)}": use a whole number from ${min} to ${max}`);
    return fallback;
  };
  const name = env["OTEL_TRACES_SAMPLER"] ?? "";
  const sampler = name === "" ? "parentbased_always_on" : samplers.find((known) => known === name);
  if (sampler === undefined) {
    problems.push(`OTEL_TRACES_SAMPLER is "${name.slice(0, 40)}": use one of ${samplers.join(", ")}`);
  }
  const queueMax = whole("OTEL_BSP_MAX_QUEUE_SIZE", 2_048, 16, 65_536);
  const settings: TraceSettings = {
    serviceName: (env["OTEL_SERVICE_NAME"] ?? "") || program,
    sampler: sampler ?? "parentbased_always_on",
    ratio: readRatio(env, problems),
    queueMax,
    batchMax: Math.min(queueMax, whole("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1, 65_536)),
    delayMs: whole("OTEL_BSP_SCHEDULE_DELAY", 5_000, 10, 600_000),
  };
  return problems.length > 0 ? { ok: false, problems } : { ok: true, settings };
}

function readRatio(env: Env, problems: string[]): number {
  const text = env["OTEL_TRACES_SAMPLER_ARG"] ?? "";
  if (text === "") return 1;
  const ratio = Number(text);
  if (/^\d(\.\d{1,12})?$/.test(text) && ratio <= 1) return ratio;
  problems.push(`OTEL_TRACES_SAMPLER_ARG is "${text.slice(0, 40)}": use a number from 0 to 1`);
  return 1;
}

function protocolProblems(env: Env): string[] {
  return ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"].flatMap((name) => {
    const protocol = env[name] ?? "";
    const isKnown = protocol === "" || protocol === "http/protobuf";
    return isKnown ? [] : [`${name} is "${protocol.slice(0, 40)}": spans are sent as http/protobuf alone`];
  });
}

/** A URL may hold a password, so it is never repeated. */
function endpointProblems(env: Env): string[] {
  return ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].flatMap((name) => {
    const text = env[name] ?? "";
    const isUrl = /^https?:\/\//.test(text) && URL.canParse(text);
    return text === "" || isUrl ? [] : [`${name} is no URL that begins with https:// or http://`];
  });
}
