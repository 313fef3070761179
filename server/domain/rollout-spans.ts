/** What a step of a rollout is in a trace of it. Keys name spans whose id is known before they are over. */
import type { GateVerdict } from "./gates/gate.ts";
import type { ClusterChange, RolloutCluster } from "./rollout-cluster.ts";
import { isFinished, type Rollout } from "./rollout.ts";

/** A step that was written down. */
export interface CommittedStep {
  readonly before: Rollout;
  readonly after: Rollout;
  readonly changes: readonly ClusterChange[];
  /** The clusters that the decision was made on. */
  readonly seen: readonly RolloutCluster[];
  readonly because: string;
  /** What the gates of the wave in work said, if they were asked. */
  readonly gates?: readonly GateVerdict[] | undefined;
  /** When somebody began to look, and when it was written. */
  readonly fromMs: number;
  readonly nowMs: number;
}

export type OnCommitted = (step: CommittedStep) => void;

/** A span of a rollout that is over. */
export interface RolloutSpan {
  readonly name: "rollout" | "wave" | "cluster" | "decide" | "roll back";
  /** Absent for one that no other span is under. */
  readonly key?: string;
  /** Absent under the call that started the rollout. */
  readonly parentKey?: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly error?: string;
}

/** With the rollout's id, because a caller may start several in one trace. */
const rolloutKey = ({ id }: Rollout): string => `rollout ${id}`;
const waveKey = ({ id }: Rollout, wave: number): string => `wave ${id} ${wave}`;

/** A cluster under one assignment of a rollout: from there to its proof. */
export function clusterKey(rolloutId: string, clusterId: string, generation: bigint): string {
  return `cluster ${rolloutId} ${clusterId} ${generation}`;
}

/** The spans that a step ends, in no order. A step that only changes words ends none. */
export function spansOf(full: CommittedStep): readonly RolloutSpan[] {
  const step = withoutDetails(full);
  const { before, after, changes } = step;
  const isStep = changes.length > 0 || after.generation !== before.generation;
  if (!isStep) return [];
  const seen = new Map(step.seen.map((cluster) => [cluster.id, cluster]));
  return [
    decision(step),
    ...changes.flatMap((change) => clusterSpan(step, change, seen.get(change.id))),
    ...endings(step),
  ];
}

/** As `failure` in rollout-proof.ts puts it: whose word it is, its code, and then what may hold pieces of a bundle. */
const failed =
  /^(agent "[^"]{0,100}" (?:rejected it|went back by itself))(?:(: [a-z0-9-]{1,40}\/[a-z0-9-]{1,40}))?/;

/** The reason of a cluster without what the agent told beyond the code: that is for those who may see the rollout. */
function brief(reason: string): string {
  const [, who, code = ""] = failed.exec(reason) ?? [];
  return who === undefined ? reason : `${who}${code}`;
}

/** The step with reasons that may leave for a collector. Sentences about it quote those of its clusters word for word. */
function withoutDetails(step: CommittedStep): CommittedStep {
  const quoted = [...step.changes, ...step.seen].map(({ reason }) => reason);
  // The longest first: one may be the beginning of another.
  const reasons = [...new Set(quoted)]
    .filter((each) => each !== brief(each))
    .toSorted((a, b) => b.length - a.length);
  const because = reasons.reduce((text, each) => text.replaceAll(each, () => brief(each)), step.because);
  const changes = step.changes.map((change) => ({ ...change, reason: brief(change.reason) }));
  return { ...step, because, changes };
}

function decision(step: CommittedStep): RolloutSpan {
  const { before, after, changes, because, gates = [], fromMs, nowMs } = step;
  const counts = (["assigned", "proved", "failed", "reverted", "removed"] as const).flatMap((to) => {
    const count = changes.filter((change) => change.to === to).length;
    return count === 0 ? [] : [[`falconry.clusters.${to}`, count] as const];
  });
  return {
    name: "decide",
    parentKey: waveInWork(before) === undefined ? rolloutKey(before) : waveKey(before, before.wave),
    startMs: fromMs,
    endMs: nowMs,
    attributes: {
      ...facts(before),
      "falconry.rollout.state": after.state,
      "falconry.because": because,
      ...Object.fromEntries(counts),
      ...Object.fromEntries(gates.map(({ gate, state }) => [`falconry.gate.${gate}`, state])),
    },
  };
}

/** The span of a cluster whose assignment has come to an end: by a proof, a failure, or another assignment. */
function clusterSpan(
  step: CommittedStep,
  { id, to, assign, reason }: ClusterChange,
  cluster: RolloutCluster | undefined,
): readonly RolloutSpan[] {
  if (cluster?.assignedAtMs === undefined || cluster.generation === 0n) return [];
  const isOpen =
    cluster.state === "assigned" || (cluster.state === "reverted" && cluster.provedAtMs === undefined);
  if (!isOpen) return [];
  // Sent back, it proves what it had before under an assignment that is none of the bundle's.
  const isBack = cluster.state === "reverted" && to === "reverted" && assign === undefined;
  const isGood = to === "proved" || isBack;
  return [
    {
      name: "cluster",
      key: clusterKey(step.before.id, id, cluster.generation),
      parentKey: waveKey(step.before, cluster.wave),
      startMs: cluster.assignedAtMs,
      endMs: step.nowMs,
      attributes: {
        ...facts(step.before),
        "falconry.cluster.id": id,
        "falconry.cluster.name": cluster.name,
        "falconry.cluster.state": to,
        "falconry.generation": Number(cluster.generation),
      },
      ...(isGood ? {} : { error: reason === "" ? to : reason }),
    },
  ];
}

/** The wave that the step ends, and the rollout, which is over for its trace when it turns back as well. */
function endings({ before, after, because, nowMs }: CommittedStep): readonly RolloutSpan[] {
  const wasOpen = !isFinished(before.state) && before.state !== "rolling-back";
  const isOver = isFinished(after.state) || after.state === "rolling-back";
  const isGood = after.state === "succeeded";
  const ends = wasOpen && isOver;
  const error = ends && !isGood ? { error: because } : {};
  const wave = waveInWork(before);
  const spans: RolloutSpan[] = [];
  if (wave !== undefined && (after.wave !== before.wave || ends)) {
    spans.push({
      name: "wave",
      key: waveKey(before, before.wave),
      parentKey: rolloutKey(before),
      startMs: wave.startedAtMs,
      endMs: nowMs,
      attributes: { ...facts(before), "falconry.wave.name": wave.name, "falconry.wave.index": before.wave },
      ...error,
    });
  }
  const whole = { attributes: { ...facts(before), "falconry.rollout.state": after.state }, endMs: nowMs };
  if (ends) {
    spans.push({ ...whole, name: "rollout", key: rolloutKey(before), startMs: before.createdAtMs, ...error });
  }
  if (before.state === "rolling-back" && isFinished(after.state)) {
    spans.push({ ...whole, name: "roll back", parentKey: rolloutKey(before), startMs: nowMs });
  }
  return spans;
}

function waveInWork({
  waves,
  wave,
}: Rollout): { readonly name: string; readonly startedAtMs: number } | undefined {
  const { name = "", startedAtMs } = waves[wave] ?? {};
  return startedAtMs === undefined ? undefined : { name, startedAtMs };
}

function facts({ id, spec, digest }: Rollout): Record<string, string> {
  return {
    "falconry.rollout.id": id,
    "falconry.bundle.kind": spec.kind,
    "falconry.bundle.digest": digest,
  };
}
