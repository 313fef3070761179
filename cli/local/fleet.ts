import type { RulesFile } from "#engine";
import type { EmbeddedPostgres } from "#postgres";
import type { Connection } from "../connection.ts";
import type { Layout } from "./layout.ts";
import type { Managed, Processes } from "./processes.ts";
import type { LocalCluster } from "./regions.ts";
import type { Sink } from "./sink.ts";

/** What the user asked for. */
export interface FleetPlan {
  readonly clusters: readonly LocalCluster[];
  /** Server port; the log store takes the next one. */
  readonly port: number;
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

export function machineOf(fleet: Fleet, cluster: string): Machine {
  const machine = fleet.machines.get(cluster);
  if (machine === undefined) throw new Error(`There is no local cluster ${cluster}`);
  return machine;
}
