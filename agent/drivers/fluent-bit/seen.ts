import { readPrometheus, sumOf } from "../../domain/prometheus-text.ts";
import type { Sample } from "../../domain/prometheus-text.ts";
import { fetchBounded } from "../bounded-fetch.ts";
import type { PodsSeen } from "../kubernetes/pods.ts";

/** What Fluent Bit says about itself at one moment. Its counters begin anew with each reload. */
export interface FluentBitSeen {
  readonly reloads: number;
  /** When the process began, seconds since the epoch; 0 when it does not say. */
  readonly beganS: number;
  readonly records: number;
  readonly bytes: number;
  readonly outputs: ReadonlyMap<string, OutputSeen>;
}

export interface OutputSeen {
  readonly delivered: number;
  readonly deliveredBytes: number;
  readonly errors: number;
  readonly retries: number;
  readonly dropped: number;
}

/** What all Fluent Bits that ship for an agent say at one moment. */
export type FluentBitsSeen = PodsSeen<FluentBitSeen>;

/** Looks at all of them, each by its URL. */
export type LookAtFluentBits = () => Promise<FluentBitsSeen>;

/** The one beside the agent. */
export function oneFluentBit(url: string): LookAtFluentBits {
  return async () => ({ seen: new Map([[url, await lookAtFluentBit(url)]]), missing: [], wanted: 1 });
}

/** The host of the URL by which a Fluent Bit is known. */
export function hostIn(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : url;
}

/** Outputs of the agent's own have names that begin so. */
export const markPrefix = "falconry-";

/** Looks at Fluent Bit's HTTP server. Rejects when it is not there, or does not say how often it was reloaded. */
export async function lookAtFluentBit(url: string): Promise<FluentBitSeen> {
  const reload = await fetchBounded(`${url}/api/v2/reload`);
  const reloads = countIn(reload.body);
  if (reload.status !== 200 || reloads === undefined) {
    throw new Error(`/api/v2/reload answers ${reload.status} and no hot_reload_count`);
  }
  const metrics = await fetchBounded(`${url}/api/v2/metrics/prometheus`);
  if (metrics.status !== 200) throw new Error(`/api/v2/metrics/prometheus answers ${metrics.status}`);
  const samples = readPrometheus(metrics.body);
  return {
    reloads,
    beganS: sumOf(samples, "fluentbit_process_start_time_seconds") ?? 0,
    records: ofOthers(samples, "fluentbit_input_records_total"),
    bytes: ofOthers(samples, "fluentbit_input_bytes_total"),
    outputs: outputsIn(samples),
  };
}

function countIn(body: string): number | undefined {
  try {
    const { hot_reload_count: count } = JSON.parse(body) as { hot_reload_count?: unknown };
    return typeof count === "number" ? count : undefined;
  } catch {
    return undefined;
  }
}

function ofOthers(samples: readonly Sample[], name: string): number {
  return (
    sumOf(
      samples.filter(({ labels }) => labels["name"]?.startsWith(markPrefix) !== true),
      name,
    ) ?? 0
  );
}

function outputsIn(samples: readonly Sample[]): ReadonlyMap<string, OutputSeen> {
  const names = samples.flatMap(({ name, labels }) =>
    name === "fluentbit_output_proc_records_total" ? [labels["name"] ?? ""] : [],
  );
  return new Map(
    names.map((alias) => {
      const own = samples.filter(({ labels }) => labels["name"] === alias);
      const of = (metric: string) => sumOf(own, `fluentbit_output_${metric}_total`) ?? 0;
      const delivered = of("proc_records");
      const [errors, retries, dropped] = [of("errors"), of("retries"), of("dropped_records")];
      return [alias, { delivered, deliveredBytes: of("proc_bytes"), errors, retries, dropped }] as const;
    }),
  );
}
