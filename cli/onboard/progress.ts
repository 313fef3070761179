import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Agent, Cluster, Rates } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";

/** How far a cluster is, seen from the server. */
export interface Progress {
  readonly enrolled: boolean;
  /** True too when nothing is assigned. */
  readonly proved: boolean;
  readonly assigned: readonly string[];
  readonly hasEvents: boolean;
  /** For people who wait. */
  readonly enrolment: string;
  readonly proofs: string;
  readonly events: string;
}

/** Whose word counts. */
export interface Awaited {
  /** What the fleet knew before anything was applied; undefined when it did not know the cluster. */
  readonly known: Cluster | undefined;
  /** Names of the nodes, which their agents go by. */
  readonly nodes: readonly string[];
  /** Whether the agents of before were replaced: what is told of those says nothing of these. */
  readonly isReplaced: boolean;
  /** Whether one agent counts what all read, as where Fluent Bit ships; else each counts for itself. */
  readonly countsOnce: boolean;
}

/**
 * Follows the agents of a cluster until each has shown what it does now. The fleet goes on to say what an agent did last: of one
 * that was there before and has to come anew, the connection has to be another, and the minute in which it read events a later
 * one than was known when it came; and what it is said to run counts once it has said something itself.
 */
export class ProgressWatch {
  readonly #awaited: Awaited;
  /** The last minute that may be of before, by the name of the agent; of all of them under the empty name. */
  readonly #floors = new Map<string, number>();

  constructor(awaited: Awaited) {
    this.#awaited = awaited;
  }

  /** Takes in what the fleet says by now. */
  take(cluster: Cluster | undefined): Progress {
    const agents = cluster?.agents ?? [];
    const there = agents.filter((agent) => this.#isThere(agent));
    for (const agent of there) if (this.#hasToComeAnew(agent.name)) this.#noteFloor(agent.name, agent.rates);
    const names = there.map(({ name }) => name);
    const missing = this.#awaited.nodes.filter((node) => !names.includes(node));
    const enrolled = missing.length === 0;
    const { assigned, unproved } = proofsOf(cluster);
    const unheard = there.filter((agent) => this.#hasToComeAnew(agent.name) && !hasSpoken(agent));
    const silent = enrolled ? this.#silentOf(cluster, there) : this.#awaited.nodes;
    return {
      enrolled,
      proved: enrolled && (assigned.length === 0 || unheard.length === 0) && unproved.length === 0,
      assigned,
      hasEvents: silent.length === 0,
      enrolment: enrolled ? `connected: ${names.join(", ")}` : `not connected: ${missing.join(", ")}`,
      proofs: enrolled ? proofText(cluster, unproved, unheard) : `not connected: ${missing.join(", ")}`,
      events: `no event yet from ${silent.join(", ")}; rates come with whole minutes`,
    };
  }

  #isThere({ name, transport, connectedAt }: Agent): boolean {
    if (transport === "") return false;
    const before = this.#hasToComeAnew(name) ? this.#before(name)?.connectedAt : undefined;
    return (
      before === undefined || connectedAt === undefined || timestampMs(connectedAt) !== timestampMs(before)
    );
  }

  /** One that was away comes anew whatever was applied. */
  #hasToComeAnew(name: string): boolean {
    const before = this.#before(name);
    return before !== undefined && (this.#awaited.isReplaced || before.transport === "");
  }

  #before(name: string): Agent | undefined {
    return this.#awaited.known?.agents.find((agent) => agent.name === name);
  }

  #noteFloor(name: string, rates: Rates | undefined): void {
    if (!this.#floors.has(name)) this.#floors.set(name, minuteOf(rates));
  }

  #silentOf(cluster: Cluster | undefined, there: readonly Agent[]): readonly string[] {
    const { nodes, countsOnce } = this.#awaited;
    const reads = (name: string, rates: Rates | undefined) => {
      const floor = this.#floors.get(name);
      return (rates?.events ?? 0n) > 0n && (floor === undefined || minuteOf(rates) > floor);
    };
    if (countsOnce) {
      if (nodes.some((node) => this.#hasToComeAnew(node))) this.#noteFloor("", cluster?.rates);
      return reads("", cluster?.rates) ? [] : ["Fluent Bit"];
    }
    return nodes.filter((node) => !reads(node, there.find(({ name }) => name === node)?.rates));
  }
}

/** Whether something came over the connection of now: a connection by itself proves nothing. */
function hasSpoken({ connectedAt, lastSeenAt }: Agent): boolean {
  if (connectedAt === undefined) return true;
  return lastSeenAt !== undefined && timestampMs(lastSeenAt) > timestampMs(connectedAt);
}

function minuteOf(rates: Rates | undefined): number {
  return rates?.minute === undefined ? Number.NEGATIVE_INFINITY : timestampMs(rates.minute);
}

interface Ref {
  readonly name: string;
  readonly version: string;
}

/** What is assigned to a cluster, and what of it not every agent proves. */
export function proofsOf(cluster: Cluster | undefined): {
  readonly assigned: readonly string[];
  readonly unproved: readonly Ref[];
} {
  const wanted = [cluster?.assignment?.rules, cluster?.assignment?.shipper].flatMap((ref) =>
    ref === undefined ? [] : [ref],
  );
  const runs = (digest: string) => cluster?.running.some(({ bundle }) => bundle?.digest === digest) === true;
  return {
    assigned: wanted.map((ref) => `${ref.kind === BundleKind.RULES ? "rules" : "shipper"} ${nameOf(ref)}`),
    unproved: wanted.filter(({ digest }) => !runs(digest)),
  };
}

/** What is not proved, by whom nothing was said since they came, and what agents refused last. */
export function proofText(
  cluster: Cluster | undefined,
  unproved: readonly Ref[],
  unheard: readonly Agent[] = [],
): string {
  const refusals = (cluster?.agents ?? []).flatMap(({ name, attempts }) => {
    const [last] = attempts;
    return last === undefined || last.reason === "" ? [] : [`${name}: ${last.reason}: ${last.detail}`];
  });
  return [
    ...(unproved.length === 0 ? [] : [`not proved yet: ${unproved.map(nameOf).join(", ")}`]),
    ...(unheard.length === 0 ? [] : [`no word yet from ${unheard.map(({ name }) => name).join(", ")}`]),
    ...refusals,
  ].join("; ");
}

function nameOf({ name, version }: Ref): string {
  return `${name}@${version}`;
}
