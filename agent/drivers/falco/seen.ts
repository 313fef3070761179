import { readPrometheus, sumOf } from "../../domain/prometheus-text.ts";
import type { Sample } from "../../domain/prometheus-text.ts";
import { fetchBounded } from "../bounded-fetch.ts";
import type { PodsSeen } from "../kubernetes/pods.ts";

/** What Falco says about itself at one moment. */
export interface FalcoSeen {
  readonly version: string;
  /** The version of its engine, as x.y.z; undefined when it does not say. */
  readonly engine: string | undefined;
  /** SHA-256 of loaded rules files, by name, as Falco read them; undefined when it does not serve them. */
  readonly files: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /** When it began, ns since the epoch; 0 when it does not say. */
  readonly startNs: number;
  /** Events that the kernel had to let go, and alerts that Falco's own queue did. */
  readonly drops: number;
}

/** What all Falcos that run an agent's rules say at one moment. */
export type FalcosSeen = PodsSeen<FalcoSeen>;

/** Looks at all of them. Rejects when it is not known which there should be, or when there is one alone that does not answer. */
export type LookAtFalcos = () => Promise<FalcosSeen>;

/** The one Falco beside the agent. */
export function oneFalco(url: string): LookAtFalcos {
  return async () => ({ seen: new Map([[url, await lookAtFalco(url)]]), missing: [], wanted: 1 });
}

const hashes = "falcosecurity_falco_sha256_rules_files_info";

/** Looks at Falco's web server. Rejects when it is not there, or not healthy. */
export async function lookAtFalco(url: string): Promise<FalcoSeen> {
  const health = await fetchBounded(`${url}/healthz`);
  if (health.status !== 200) throw new Error(`${url}/healthz answers ${health.status}`);
  const versions = await fetchBounded(`${url}/versions`);
  const metrics = await fetchBounded(`${url}/metrics`);
  const samples = metrics.status === 200 ? readPrometheus(metrics.body) : [];
  return {
    ...versionsIn(versions.body),
    files: filesOf(samples),
    startNs: sumOf(samples, "falcosecurity_falco_start_timestamp_nanoseconds") ?? 0,
    drops:
      (sumOf(samples, "falcosecurity_scap_n_drops_total") ?? 0) +
      (sumOf(samples, "falcosecurity_falco_outputs_queue_num_drops_total") ?? 0),
  };
}

/** Falco before 0.37 says its engine as a number N alone, which means 0.N.0. */
function versionsIn(body: string): Pick<FalcoSeen, "version" | "engine"> {
  let said: Readonly<Record<string, unknown>> = {};
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === "object" && value !== null) said = value as typeof said;
  } catch {
    // Rules that need an engine are refused then, and nothing else.
  }
  const { falco_version: version, engine_version_semver: engine, engine_version: minor } = said;
  const isNumber = /^\d{1,6}$/.test(String(minor));
  return {
    version: typeof version === "string" ? version.slice(0, 64) : "unknown",
    engine: typeof engine === "string" ? engine.slice(0, 64) : isNumber ? `0.${String(minor)}.0` : undefined,
  };
}

function filesOf(samples: readonly Sample[]): FalcoSeen["files"] {
  // Any of Falco's own metrics shows that it serves them: then no hash means that no file is loaded.
  if (!samples.some(({ name }) => name.startsWith("falcosecurity_falco_"))) return undefined;
  const files = new Map<string, Set<string>>();
  for (const { name, labels } of samples) {
    if (name !== hashes) continue;
    const { file_name: file = "", sha256 = "" } = labels;
    const known = files.get(file) ?? new Set();
    files.set(file, known.add(sha256.toLowerCase()));
  }
  return files;
}
