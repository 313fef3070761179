import type { RulesFile } from "#engine";
import type { EmbeddedPostgres } from "#postgres";
import type { Connection } from "../connection.ts";
import type { Layout } from "./layout.ts";
import type { Managed, Processes } from "./processes.ts";
import type { LocalCluster } from "./regions.ts";
import type { Sink } from "./sink.ts";
import { until } from "./until.ts";
import type { Probe } from "./until.ts";

/** What the user asked for. */
export interface FleetPlan {
  readonly clusters: readonly LocalCluster[];
  /** Server port; the log store takes the next one. */
  readonly port: number;
  /** Where other machines reach the server; without it this machine alone does. */
  readonly host?: string | undefined;
  /** A real audit log to replay instead of generating one. */
  readonly auditLog: string | undefined;
  /** Events per second and cluster. */
  readonly rate: number;
  readonly once: boolean;
}

/** The processes of one cluster. */
export interface Machine {
  agent?: Managed;
  generator?: Managed;
}

/** Two versions of the rules, so that there is something to roll out. */
export interface PublishedBundles {
  /** "sha256:..." */
  readonly shipper: string;
  readonly rulesBefore: string;
  readonly rulesAfter: string;
  /** Rules that exist to be tampered with. */
  readonly drill: string;
  /** The files of the two versions, as the engine takes them. */
  readonly files: { readonly before: readonly RulesFile[]; readonly after: readonly RulesFile[] };
  /** NAME@VERSION of each. */
  readonly names: Readonly<Record<"shipper" | "rulesBefore" | "rulesAfter" | "drill", string>>;
}

/** The fleet on this machine, filled in as its parts come up. */
export interface Fleet {
  readonly layout: Layout;
  readonly plan: FleetPlan;
  readonly processes: Processes;
  /** Aborted when the person wants it to end: no wait goes on then, and no process is started any more. */
  readonly signal: AbortSignal;
  readonly machines: ReadonlyMap<string, Machine>;
  postgres?: EmbeddedPostgres;
  sink?: Sink;
  server?: Managed;
  connection?: Connection;
  bundles?: PublishedBundles;
}

/** A part that a later step needs and an earlier one made; asking too early is a bug. */
export function part<K extends "postgres" | "sink" | "server" | "connection" | "bundles">(
  fleet: Fleet,
  name: K,
): NonNullable<Fleet[K]> {
  const found = fleet[name];
  if (found === undefined) throw new Error(`The fleet has no ${name} yet`);
  return found;
}

/** {@link until}, for as long as the fleet is to run. */
export function untilIn<T>({ signal }: Fleet, what: string, deadlineMs: number, probe: Probe<T>): Promise<T> {
  return until(what, deadlineMs, probe, { signal });
}

/** Where agents and people reach the server. */
export function serverUrl({ plan }: Fleet): string {
  return `https://${plan.host ?? "127.0.0.1"}:${plan.port}`;
}

export function machineOf(fleet: Fleet, cluster: string): Machine {
  const machine = fleet.machines.get(cluster);
  if (machine === undefined) throw new Error(`There is no local cluster ${cluster}`);
  return machine;
}
