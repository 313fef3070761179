import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { AgentError, problemOf } from "./agent-error.ts";
import { createLoop } from "./apply-loop.ts";
import type { LoopPorts, StepEnd } from "./apply-loop.ts";
import type { BundleStore } from "./bundles.ts";
import type { Conditions } from "./conditions.ts";
import type { AttemptRecord, CurrentStore, RunningSet } from "./current.ts";
import { kinds, metadataKeys, planApply } from "./domain/apply-plan.ts";
import type { Kind, Target } from "./domain/apply-plan.ts";
import type { AgentConnection } from "./link/clients.ts";
import type { ApplyResult, PipelineFacts } from "./pipeline/pipeline.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import { createLive } from "./live-set.ts";
import type { Hashes, Labels, LiveSet } from "./live-set.ts";
import type { TrustStore } from "./trust-store.ts";

/** What the applier works with. */
export interface ApplierPorts extends LoopPorts {
  readonly current: CurrentStore;
  readonly trust: TrustStore;
  readonly bundles: BundleStore;
  readonly pipeline: KeptPipeline;
  readonly conditions: Conditions;
  readonly client: () => AgentConnection["client"] | undefined;
  readonly facts: (labels: Labels) => PipelineFacts;
  /** The organisation of this agent. */
  readonly org: string;
  /** Told after each change of what runs or was tried. */
  readonly onChange: () => void;
  readonly log: Logger;
}

interface State extends ApplierPorts {
  readonly live: LiveSet;
  /** Whether what runs is to be loaded again, because facts changed. */
  reload: boolean;
  /** Whether last-known-good is to be loaded, because a new worker runs nothing. */
  restore: boolean;
  /** The bundle that the worker died of last. */
  fatal: string | undefined;
}

/** Brings what runs to what is assigned, one bundle at a time; takes no input and keeps no queue. */
export interface Applier {
  /** Runs last-known-good from disk, without asking anybody. What does not load is a condition, never an end. */
  resume(): Promise<void>;
  /** What the pipeline proved that it runs now. */
  running(): RunningSet;
  /** Something may have changed: look again. */
  nudge(): void;
  /** The facts changed: what runs is loaded again with them. */
  reload(): void;
  /** The worker died, and with it all that ran: the next one gets last-known-good. */
  lost(): void;
}

export function createApplier(ports: ApplierPorts): Applier {
  const state: State = {
    ...ports,
    live: createLive(ports),
    reload: false,
    restore: true,
    fatal: undefined,
  };
  const loop = createLoop(() => step(state), ports);
  return {
    running: () => state.live.running(),
    nudge: () => loop.nudge(),
    reload() {
      state.reload = true;
      loop.nudge();
    },
    lost() {
      state.live.forget();
      state.restore = true;
      loop.nudge();
    },
    async resume() {
      try {
        await restore(state);
      } catch (error) {
        // The loop tries again; the link, which may bring help, does not wait for it.
        ports.log.error({ err: error }, "last-known-good could not be loaded yet");
        loop.nudge();
      }
    },
  };
}

/** Loads again what was asked to be, then applies the next bundle that is assigned and does not run. */
async function step(state: State): Promise<StepEnd> {
  try {
    if (state.restore) await restore(state);
    if (state.reload) await reload(state);
  } catch (error) {
    if (isWorkerGone(error)) return "retry";
    throw error;
  }
  for (const kind of kinds) keepAsGood(state, kind);
  const { assignment, rejections } = state.current.get();
  const plan = planApply({
    assignment,
    running: state.live.hashes(),
    rejections,
    metadata: state.trust.versions(),
  });
  if (plan.isWaiting) state.conditions.raise("shipper/waits", `Nothing is shipped yet: ${plan.because}`);
  else state.conditions.clear("shipper/waits");
  if (plan.apply === undefined || assignment === undefined) return "rest";
  return attempt(state, plan.apply, assignment.generation);
}

/** Hands last-known-good to a worker that runs nothing. One bundle that does not load never keeps the other from running. */
async function restore(state: State): Promise<void> {
  const { running, labels, provedLabels = labels } = state.current.get();
  const known: Hashes = Object.fromEntries(
    kinds.flatMap((kind) => (running[kind] === undefined ? [] : [[kind, running[kind].sha256]])),
  );
  const whole = await state.live.hand(known, provedLabels);
  for (const kind of kinds) {
    const sha256 = known[kind];
    if (sha256 === undefined) continue;
    const result = whole.ok ? whole : await state.live.hand({ [kind]: sha256 }, provedLabels);
    const code = `last-known-good/${kind}`;
    if (result.ok) {
      state.conditions.clear(code);
      continue;
    }
    const { reason, detail } = result;
    state.log.error({ kind, reason, detail }, "last-known-good does not load");
    state.conditions.raise(code, `The ${kind} that ran last do not load: ${reason}: ${detail}`);
  }
  state.restore = false;
  if (!isDeepStrictEqual(labels, provedLabels)) state.reload = true;
}

/** Loads what runs with new facts; when that is refused, what runs goes on with the old ones, and that is a condition. */
async function reload(state: State): Promise<void> {
  // Before it begins, so that labels that change meanwhile are not taken for those that are loaded now.
  state.reload = false;
  const result = await state.live
    .hand(state.live.hashes(), state.current.get().labels)
    .catch((error: unknown) => {
      state.reload = true;
      throw error;
    });
  if (result.ok) return state.conditions.clear("labels/not-applied");
  const { kind, reason, detail } = result;
  state.log.error({ kind, reason, detail }, "what runs does not load with the new labels");
  state.conditions.raise(
    "labels/not-applied",
    `What runs goes on with the labels it had, because with the new ones its ${kind} do not load: ${reason}: ${detail}`,
  );
}

/** Applies one bundle: check, fetch, hand over, take the proof. */
async function attempt(state: State, target: Target, generation: number): Promise<StepEnd> {
  const notes = createNotes(state, target, generation);
  const listed = state.trust.checkTarget(target);
  if (!listed.ok) return notes.reject(listed.refusal.code, listed.refusal.message, "all");
  try {
    await state.bundles.stage(target, state.client(), state.signal);
  } catch (error) {
    const { code, message } = problemOf(error, "fetch/failed");
    if (error instanceof AgentError && code.startsWith("trust/")) return notes.reject(code, message, "all");
    notes.note("received", code, message);
    return "retry";
  }
  notes.note("applying");
  const result = await handOver(state, target);
  if (result === undefined) return "retry";
  if (!result.ok) return notes.reject(result.reason, result.detail, "targets");
  if (state.live.hashes()[target.kind] !== target.sha256) {
    return notes.reject("pipeline/not-proved", "The worker runs other bytes than it was given", "targets");
  }
  keepAsGood(state, target.kind);
  notes.note("applied");
  await state.bundles.prune(kept(state));
  return "again";
}

/** The worker's answer; undefined when it is gone, for which the bundle is blamed when it happens twice in a row. */
async function handOver(state: State, target: Target): Promise<ApplyResult | undefined> {
  const { kind, sha256 } = target;
  const { labels } = state.current.get();
  try {
    const together = await state.live.hand({ ...state.live.hashes(), [kind]: sha256 }, labels, target);
    if (together.ok || together.kind === kind) return together;
    const loadedWith = state.live.labels();
    if (loadedWith !== undefined && !isDeepStrictEqual(loadedWith, labels)) {
      // What runs does not load with the new labels, which nobody signed: they must not keep a release out.
      return await state.live.hand({ ...state.live.hashes(), [kind]: sha256 }, loadedWith, target);
    }
    // The other bundle runs in memory but cannot be read again from disk: that is no fault of this one.
    return await state.live.hand({ [kind]: sha256 }, labels, target);
  } catch (error) {
    if (!isWorkerGone(error)) throw error;
    if (error.code === "pipeline/away") return undefined;
    if (state.fatal === sha256) return { ok: false, kind, reason: error.code, detail: error.message };
    state.fatal = sha256;
    return undefined;
  }
}

function isWorkerGone(error: unknown): error is AgentError {
  return error instanceof AgentError && error.code.startsWith("pipeline/");
}

/** What was proved is what the next start begins with; also when the disk was full at the time of the proof. */
function keepAsGood({ live, current, conditions }: State, kind: Kind): void {
  const proved = live.running()[kind];
  const known = current.get();
  if (proved === undefined) return;
  conditions.clear(`last-known-good/${kind}`);
  const provedLabels = live.labels() ?? known.labels;
  const isKnown =
    known.running[kind]?.sha256 === proved.sha256 && isDeepStrictEqual(known.provedLabels, provedLabels);
  if (isKnown) return;
  current.set({ ...known, running: { ...known.running, [kind]: proved }, provedLabels });
}

/** Writes down how an attempt stands. */
function createNotes(state: State, target: Target, generation: number) {
  const { kind, path, sha256 } = target;
  const note = (phase: AttemptRecord["phase"], reason = "", text = "") => {
    const detail = text.slice(0, 4_000);
    const record = { sha256, generation, phase, reason, detail, atMs: Date.now() };
    const known = state.current.get();
    const before = known.attempts[kind];
    const isKnown =
      before?.sha256 === sha256 &&
      before.generation === generation &&
      before.phase === phase &&
      before.reason === reason;
    // The same again is no news: a server that is away for days would get a row for every try.
    if (isKnown) return;
    state.current.set({ ...known, attempts: { ...known.attempts, [kind]: record } });
    state.log[phase === "rejected" ? "warn" : "info"]({ kind, path, ...record }, `bundle ${phase}`);
    state.onChange();
  };
  const reject = (reason: string, detail: string, until: "targets" | "all"): StepEnd => {
    const known = state.current.get();
    const rejection = { generation, sha256, metadata: metadataKeys(state.trust.versions())[until] };
    state.current.set({ ...known, rejections: { ...known.rejections, [kind]: rejection } });
    note("rejected", reason, detail);
    return "again";
  };
  return { note, reject };
}

function kept({ current, live }: State): readonly string[] {
  const { running, assignment } = current.get();
  const assigned = assignment?.targets.map((t) => t.sha256) ?? [];
  const good = kinds.flatMap((kind) => running[kind]?.sha256 ?? []);
  return [...assigned, ...good, ...Object.values(live.hashes())];
}
