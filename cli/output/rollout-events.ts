import type { RolloutProgress, WaveProgress } from "./rollout.ts";

/** One thing that changed between two pictures of a rollout; for scripts, so names stay as they are. */
export type RolloutNews =
  | { readonly event: "state"; readonly state: string; readonly because: string }
  | { readonly event: "wave"; readonly wave: number; readonly name: string; readonly phase: "begun" | "done" }
  | {
      readonly event: "cluster";
      readonly cluster: string;
      readonly wave: number;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  | {
      readonly event: "gate";
      readonly wave: number;
      readonly gate: string;
      readonly state: string;
      readonly words: string;
    };

/** What is new in a picture; everything that is no longer as it began when there was none before. */
export function newsBetween(
  before: RolloutProgress | undefined,
  after: RolloutProgress,
): readonly RolloutNews[] {
  const isOtherState = before?.state !== after.state || before.because !== after.because;
  const state = { event: "state", state: after.state, because: after.because } as const;
  const waves = after.waves.flatMap((wave: Wave, index): RolloutNews[] => {
    const old: Wave | undefined = before?.waves[index];
    const place = { wave: index + 1, name: wave.name };
    return [
      ...(wave.startedAt !== undefined && old?.startedAt === undefined
        ? [{ event: "wave", ...place, phase: "begun" } as const]
        : []),
      ...clusterNews(old?.clusters ?? [], wave.clusters, index + 1),
      ...gateNews(old, wave, index + 1),
      ...(wave.finishedAt !== undefined && old?.finishedAt === undefined
        ? [{ event: "wave", ...place, phase: "done" } as const]
        : []),
    ];
  });
  return isOtherState ? [...waves, state] : waves;
}

type Clusters = RolloutProgress["waves"][number]["clusters"];

function clusterNews(before: Clusters, after: Clusters, wave: number): RolloutNews[] {
  const known = new Map(before.map((cluster) => [cluster.name, cluster]));
  return after.flatMap(({ name, step, reason }): RolloutNews[] => {
    const old = known.get(name);
    const from = old?.step ?? "waiting";
    if (from === step && (old?.reason ?? "") === reason) return [];
    return [{ event: "cluster", cluster: name, wave, from, to: step, reason }];
  });
}

/** With what gates say, where the server says it. */
type Wave = Omit<WaveProgress, "gates"> & {
  readonly gates?: readonly { readonly gate: string; readonly state: string; readonly words: string }[];
};

function gateNews(before: Wave | undefined, after: Wave, wave: number): RolloutNews[] {
  const known = new Map((before?.gates ?? []).map((gate) => [gate.gate, gate]));
  return (after.gates ?? []).flatMap(({ gate, state, words }): RolloutNews[] => {
    const old = known.get(gate);
    if (old?.state === state && old.words === words) return [];
    return [{ event: "gate", wave, gate, state, words }];
  });
}
