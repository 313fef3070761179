import type { Entry } from "./ledger.ts";

/** What the end of a rollout is judged by. */
export interface Ended {
  readonly rolloutId: string;
  readonly state: string;
  readonly digest: string;
  readonly waves: number;
  /** Every cluster that was to be moved, with the generation of its assignment before. */
  readonly clusters: ReadonlyMap<string, bigint>;
  readonly entries: readonly Entry[];
  /** By cluster: the digests that its agent was given to apply, in order. */
  readonly applied: ReadonlyMap<string, readonly string[]>;
}

/** What went wrong, in sentences; none when the rollout ended right. */
export function judge(ended: Ended): readonly string[] {
  const state = ended.state === "succeeded" ? [] : [`the rollout ended as "${ended.state}"`];
  return [
    ...state,
    ...[...ended.clusters.keys()].flatMap((id) => judgeCluster(ended, id)),
    ...judgeWaves(ended),
  ];
}

/** Each cluster is assigned the bundle once, proves it once, and its agent applies it once. */
function judgeCluster(
  { rolloutId, digest, clusters, entries, applied }: Ended,
  id: string,
): readonly string[] {
  const own = entries.filter((entry) => entry.clusterId === id);
  const assignments = own.filter(({ what }) => what === "assignment");
  const [first] = assignments;
  const states = own.flatMap(({ what, state }) => (what === "cluster" ? [state] : [])).join(", ");
  const applies = applied.get(id) ?? [];
  const faults: string[] = [];
  if (first === undefined) faults.push(`${id} was skipped`);
  if (assignments.length > 1) faults.push(`${id} was assigned ${assignments.length} times`);
  if (first !== undefined && (first.digest !== digest || first.rolloutId !== rolloutId)) {
    faults.push(`${id} was assigned ${first.digest} by ${first.rolloutId}`);
  }
  if (first !== undefined && first.generation !== (clusters.get(id) ?? 0n) + 1n) {
    faults.push(`${id} went from generation ${clusters.get(id)} to ${first.generation}`);
  }
  if (states !== "assigned, proved") faults.push(`${id} went through: ${states}`);
  if (applies.length !== 1 || applies[0] !== digest) {
    faults.push(`the agent of ${id} applied ${applies.length === 0 ? "nothing" : applies.join(", ")}`);
  }
  return faults;
}

/** Each wave has clusters, and none of them is assigned before those of the wave before have proved. */
function judgeWaves({ rolloutId, waves, entries }: Ended): readonly string[] {
  const own = entries.filter((entry) => entry.rolloutId === rolloutId && entry.what === "cluster");
  return Array.from({ length: waves }).flatMap((_, wave) => {
    const begins = own.findIndex((entry) => entry.wave === wave && entry.state === "assigned");
    if (begins === -1) return [`wave ${wave} was skipped`];
    const before = own.findLastIndex((entry) => entry.wave < wave && entry.state === "proved");
    return before > begins ? [`wave ${wave} began before the waves before it had proved`] : [];
  });
}
