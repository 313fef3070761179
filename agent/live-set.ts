import type { BundleStore } from "./bundles.ts";
import type { CurrentStore, RunningRecord, RunningSet } from "./current.ts";
import { kinds } from "./domain/apply-plan.ts";
import type { Kind, Target } from "./domain/apply-plan.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import type { ApplyResult, PipelineFacts, RulesParts } from "./pipeline/pipeline.ts";

/** Hex SHA-256 per kind. */
export type Hashes = { readonly [K in Kind]?: string };

/** The cluster's labels. */
export type Labels = Readonly<Record<string, string>>;

/** What the pipeline runs right now, as the worker itself hashed it. It may be less than last-known-good. */
export interface LiveSet {
  running(): RunningSet;
  hashes(): Hashes;
  /** The worker is gone, and nothing runs. */
  forget(): void;
  /** What runs a kind shows no more that it does. */
  drop(kind: Kind): void;
  /** What the rules that run are made of, when teams put layers on the bundle. */
  parts(): RulesParts | undefined;
  /** The labels that what runs was loaded with; undefined while nothing was. */
  labels(): Labels | undefined;
  /**
   * Hands bundles that are on disk to the worker, all or nothing, and takes its proof. `fresh` is the target that runs for
   * the first time. Rejects as the pipeline does.
   */
  hand(wanted: Hashes, labels: Labels, fresh?: Target): Promise<ApplyResult>;
}

export interface LivePorts {
  readonly current: CurrentStore;
  readonly bundles: BundleStore;
  readonly pipeline: KeptPipeline;
  readonly facts: (labels: Labels) => PipelineFacts;
  /** The organisation of this agent: bundles of another one are not started. */
  readonly org: string;
  readonly onChange: () => void;
}

export function createLive({ current, bundles, pipeline, facts, org, onChange }: LivePorts): LiveSet {
  let running: RunningSet = {};
  let parts: RulesParts | undefined;
  let loadedWith: Labels | undefined;

  /** The same bytes have run since they began to, also over a restart. */
  const recordOf = (kind: Kind, digest: string): RunningRecord => {
    const sha256 = digest.slice("sha256:".length);
    const { running: good, trials } = current.get();
    const known = [running[kind], good[kind], trials[kind]].find((record) => record?.sha256 === sha256);
    return { sha256, sinceMs: known?.sinceMs ?? Date.now() };
  };
  return {
    running: () => running,
    hashes: () => Object.fromEntries(entriesOf(running).map(([kind, { sha256 }]) => [kind, sha256])),
    parts: () => parts,
    labels: () => loadedWith,
    forget() {
      running = {};
      parts = undefined;
      loadedWith = undefined;
      onChange();
    },
    drop(kind) {
      const { [kind]: _, ...others } = running;
      running = others;
      if (kind === "rules") parts = undefined;
      onChange();
    },
    async hand(wanted, labels, fresh) {
      const sources = kinds.flatMap((kind) => {
        const sha256 = wanted[kind];
        if (sha256 === undefined) return [];
        const source = { path: bundles.pathOf(sha256), digest: `sha256:${sha256}` };
        const isFresh = fresh?.kind === kind && fresh.sha256 === sha256;
        return [[kind, isFresh ? { ...source, released: { org, path: fresh.path } } : source] as const];
      });
      const result = await pipeline.apply(Object.fromEntries(sources), facts(labels));
      if (!result.ok) return result;
      loadedWith = labels;
      parts = result.running.parts;
      running = Object.fromEntries(
        entriesOf(result.running).map(([kind, digest]) => [kind, recordOf(kind, digest)]),
      );
      onChange();
      return result;
    },
  };
}

function entriesOf<T>(of: { readonly [K in Kind]?: T }): readonly (readonly [Kind, T])[] {
  return kinds.flatMap((kind) => (of[kind] === undefined ? [] : [[kind, of[kind]] as const]));
}
