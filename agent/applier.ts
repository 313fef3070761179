import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { AgentError, problemOf } from "./agent-error.ts";
import { createLoop } from "./apply-loop.ts";
import type { ApplyTrace, AttemptSteps } from "./apply-trace.ts";
import type { LoopPorts, StepEnd } from "./apply-loop.ts";
import type { BundleStore } from "./bundles.ts";
import { encodeComposition } from "./composition.ts";
import type { Composition } from "./composition.ts";
import type { Conditions } from "./conditions.ts";
import type { AttemptRecord, CurrentStore, RunningSet } from "./current.ts";
import { kinds, metadataKeys, planApply } from "./domain/apply-plan.ts";
import type { Kind, Target } from "./domain/apply-plan.ts";
import { isDead } from "./domain/trial.ts";
import { goBack } from "./go-back.ts";
import type { AgentConnection } from "./link/clients.ts";
import type { LogTail } from "./log-tail.ts";
import type { RunningRules } from "./candidate-work.ts";
import { compositionAt, noteParts, partsAt, runningBase, runningRules, wantedOf } from "./owned-layers.ts";
import type { ApplyResult, PipelineFacts, RulesParts } from "./pipeline/pipeline.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import { createLive } from "./live-set.ts";
import type { Hashes, Labels, LiveSet } from "./live-set.ts";
import type { Trials } from "./trials.ts";
import type { TrustStore } from "./trust-store.ts";

/** What the applier works with. */
export interface ApplierPorts extends LoopPorts {
  readonly current: CurrentStore;
  readonly trust: TrustStore;
  readonly bundles: BundleStore;
  readonly pipeline: KeptPipeline;
  readonly trials: Trials;
  readonly trace: ApplyTrace;
  readonly tail: LogTail;
  readonly conditions: Conditions;
  readonly client: () => AgentConnection["client"] | undefined;
  readonly facts: (labels: Labels) => PipelineFacts;
  /** The organisation of this agent. */
  readonly org: string;
  /** Told after each change of what runs or was tried. */
  readonly onChange: () => void;
  readonly log: Logger;
}

export interface State extends ApplierPorts {
  readonly live: LiveSet;
  /** Whether what runs is to be loaded again, because facts changed. */
  reload: boolean;
  /** Whether last-known-good is to be loaded, because a new worker runs nothing. */
  restore: boolean;
}

/** Brings what runs to what is assigned, one bundle at a time; takes no input and keeps no queue. */
export interface Applier {
  /** Runs last-known-good from disk, without asking anybody. What does not load is a condition, never an end. */
  resume(): Promise<void>;
  /** What the pipeline proved that it runs now. */
  running(): RunningSet;
  /** What the rules are made of, when teams put layers on the bundle. */
  parts(): RulesParts | undefined;
  /** The same with their files, for candidates to be put together with; undefined while no rules run. */
  rules(): RunningRules | undefined;
  /** Something may have changed: look again. */
  nudge(): void;
  /** The facts changed: what runs is loaded again with them. */
  reload(): void;
  /** The worker died, and with it all that ran: the next one gets what ran, or last-known-good. */
  lost(because: string): void;
  /** A program beside the agent shows no more that it runs its bundle: it gets it again. */
  lostKind(kind: Kind, because: string): void;
}

export function createApplier(ports: ApplierPorts): Applier {
  const state: State = {
    ...ports,
    live: createLive(ports),
    reload: false,
    restore: true,
  };
  const loop = createLoop(() => step(state), ports);
  return {
    running: () => state.live.running(),
    parts: () => state.live.parts(),
    rules: () => runningRules(state),
    nudge: () => loop.nudge(),
    reload() {
      state.reload = true;
      loop.nudge();
    },
    lost(because) {
      state.live.forget();
      try {
        ports.trials.died(because);
      } catch (error) {
        // A full disk, most likely: the trial goes on, and the next death is counted when there is room.
        ports.log.error({ err: error }, "a death of the pipeline could not be written down");
      }
      state.restore = true;
      loop.nudge();
    },
    lostKind(kind, because) {
      ports.log.warn({ kind, because }, "what ran does not show itself any more");
      state.live.drop(kind);
      state.restore = true;
      loop.nudge();
    },
    async resume() {
      try {
        for (const kind of kinds) await settle(state, kind);
        await restore(state);
        // A layer may have been taken back in the moment before the last end.
        if (state.live.parts() !== undefined || state.restore) loop.nudge();
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
    for (const kind of kinds) await settle(state, kind);
    if (state.restore) await restore(state);
    if (state.restore) return "retry";
    if (state.reload) await reload(state);
  } catch (error) {
    if (isWorkerGone(error)) return "retry";
    throw error;
  }
  for (const kind of kinds) keepAsGood(state, kind);
  const wanted = await wantedOf(state);
  const { assignment } = wanted;
  const plan = planApply({
    assignment,
    running: state.live.hashes(),
    rejections: state.current.get().rejections,
    metadata: state.trust.versions(),
  });
  if (plan.isWaiting) state.conditions.raise("shipper/waits", `Nothing is shipped yet: ${plan.because}`);
  else state.conditions.clear("shipper/waits");
  if (plan.apply === undefined || assignment === undefined) return wanted.isLacking ? "retry" : "rest";
  const { apply } = plan;
  const { generation } = assignment;
  const outcome = () => state.current.get().attempts[apply.kind];
  return state.trace.attempt(apply, generation, outcome, (steps) =>
    attempt(state, apply, generation, wanted.composition, steps),
  );
}

/** Ends a trial that is decided: what killed its worker or does harm goes, what has soaked is last-known-good. */
async function settle(state: State, kind: Kind): Promise<void> {
  const trial = state.trials.of(kind);
  if (trial === undefined) return;
  const verdict = state.trials.verdict(kind);
  if (isDead(trial)) await goBack(state, kind, trial, undefined);
  else if (verdict.kind === "failed") await goBack(state, kind, trial, verdict);
}

/** What a worker that runs nothing is to run: what was proved and is on trial, or else last-known-good. */
function toRestore({ current }: State): Hashes {
  const { running, trials } = current.get();
  return Object.fromEntries(
    kinds.flatMap((kind) => {
      const tried = trials[kind]?.sinceMs === undefined ? undefined : trials[kind].sha256;
      const sha256 = tried ?? running[kind]?.sha256;
      return sha256 === undefined ? [] : [[kind, sha256] as const];
    }),
  );
}

/** Hands a worker that runs nothing what ran. One bundle that does not load never keeps the other from running. */
async function restore(state: State): Promise<void> {
  const { labels, provedLabels = labels } = state.current.get();
  const known = toRestore(state);
  state.trials.reopen();
  const whole = await state.live.hand(known, provedLabels);
  let isAway = false;
  for (const kind of kinds) {
    const sha256 = known[kind];
    if (sha256 === undefined) continue;
    const result = whole.ok ? whole : await handOrGood(state, kind, sha256, provedLabels);
    const code = `last-known-good/${kind}`;
    isAway ||= result.ok && result.away !== undefined;
    if (result.ok) {
      state.conditions.clear(code);
      continue;
    }
    const { reason, detail } = result;
    state.log.error({ kind, reason, detail }, "last-known-good does not load");
    state.conditions.raise(code, `The ${kind} that ran last do not load: ${reason}: ${detail}`);
  }
  state.restore = isAway;
  if (!isDeepStrictEqual(labels, provedLabels)) state.reload = true;
  noteParts(state);
}

/** A bundle on trial that cannot be loaded again, such as one that the disk lost, makes way and is tried anew. */
async function handOrGood(state: State, kind: Kind, sha256: string, labels: Labels): Promise<ApplyResult> {
  const result = await state.live.hand({ [kind]: sha256 }, labels);
  const good = state.current.get().running[kind]?.sha256;
  if (result.ok || state.trials.of(kind)?.sha256 !== sha256) return result;
  state.trials.end(kind);
  return good === undefined ? result : state.live.hand({ [kind]: good }, labels);
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
  if (result.ok) {
    noteParts(state);
    return state.conditions.clear("labels/not-applied");
  }
  const { kind, reason, detail } = result;
  state.log.error({ kind, reason, detail }, "what runs does not load with the new labels");
  state.conditions.raise(
    "labels/not-applied",
    `What runs goes on with the labels it had, because with the new ones its ${kind} do not load: ${reason}: ${detail}`,
  );
}

/** Applies one bundle: check, fetch, hand over, take the proof. */
async function attempt(
  state: State,
  target: Target,
  generation: number,
  whole: Composition | undefined,
  steps: AttemptSteps,
): Promise<StepEnd> {
  const composition = target.kind === "rules" ? whole : undefined;
  const bundle: Target = { ...target, ...composition?.base };
  const notes = createNotes(state, target, generation, bundle.sha256);
  // What runs already may go on, whatever layers come or go.
  const isKnown = target.kind === "rules" && runningBase(state) === bundle.sha256;
  const listed = isKnown ? undefined : await steps.step("verify", () => state.trust.checkTarget(bundle));
  if (listed?.ok === false) return notes.reject(listed.refusal.code, listed.refusal.message, "all");
  try {
    await steps.step("fetch", () => state.bundles.stage(bundle, state.client(), state.signal));
    if (composition !== undefined) await state.bundles.keep(target.sha256, encodeComposition(composition));
  } catch (error) {
    const { code, message } = problemOf(error, "fetch/failed");
    if (error instanceof AgentError && code.startsWith("trust/")) return notes.reject(code, message, "all");
    notes.note("received", code, message);
    return "retry";
  }
  notes.note("applying");
  if (isLess(state, bundle, composition)) state.trials.end(target.kind);
  else state.trials.begin(target, generation);
  const result = await steps.load(() => handOver(state, target));
  if (result === undefined) return "retry";
  if (!result.ok) return notes.reject(result.reason, result.detail, "targets");
  if (result.away !== undefined) {
    // What ran before lies there still, and is what it gets when it is back; then this one is tried.
    state.restore = true;
    const own = result.away.find(({ kind }) => kind === target.kind);
    if (own !== undefined) {
      // It was not tried: what ends the agent meanwhile is not its doing.
      state.trials.end(target.kind);
      notes.note("received", own.reason, own.detail);
      return "retry";
    }
  }
  if (state.live.hashes()[target.kind] !== target.sha256) {
    return notes.reject("pipeline/not-proved", "The worker runs other bytes than it was given", "targets");
  }
  // In this order: a kill in between makes it a try that was never proved, and the next start begins it anew.
  notes.note("applied");
  noteParts(state);
  keepAsGood(state, target.kind);
  await state.bundles.prune(kept(state));
  return "again";
}

/** Whether only layers go from what is last-known-good: there is nothing new to try, and nothing to go back to. */
function isLess({ current, bundles }: State, bundle: Target, composition: Composition | undefined): boolean {
  const good = current.get().running.rules;
  if (bundle.kind !== "rules" || good === undefined) return false;
  const before = compositionAt(bundles.pathOf(good.sha256));
  if (before === undefined || before.base.sha256 !== bundle.sha256) return false;
  const had = new Set(before.layers.map(({ sha256 }) => sha256));
  return composition?.layers.every(({ sha256 }) => had.has(sha256)) ?? true;
}

/** The worker's answer; undefined when it is gone, which counts against the bundle on trial. */
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
    return undefined;
  }
}

function isWorkerGone(error: unknown): error is AgentError {
  return error instanceof AgentError && error.code.startsWith("pipeline/");
}

/** What was proved and has soaked is last-known-good; also when the disk was full at the time. */
function keepAsGood({ live, current, conditions, trials, log }: State, kind: Kind): void {
  const proved = live.running()[kind];
  if (proved === undefined) return;
  conditions.clear(`last-known-good/${kind}`);
  const isOnTrial = trials.of(kind)?.sha256 === proved.sha256;
  if (isOnTrial) trials.proved(kind);
  if (isOnTrial && trials.verdict(kind).kind !== "passed") return;
  const known = current.get();
  const isKnown = known.running[kind]?.sha256 === proved.sha256;
  // Labels are proved with what is last-known-good; a bundle on trial says nothing about that.
  const isAllGood = kinds.every((each) => each === kind || trials.of(each) === undefined);
  const provedLabels = isAllGood ? (live.labels() ?? known.labels) : known.provedLabels;
  if (!isKnown || !isDeepStrictEqual(known.provedLabels, provedLabels)) {
    const labels = provedLabels === undefined ? {} : { provedLabels };
    current.set({ ...known, running: { ...known.running, [kind]: proved }, ...labels });
  }
  if (!isOnTrial) return;
  trials.end(kind);
  conditions.clear(`soak/failed ${kind}`);
  log.info({ kind, sha256: proved.sha256 }, "bundle has soaked and is last-known-good");
}

/** Writes down how an attempt stands. */
function createNotes(state: State, target: Target, generation: number, bundle: string) {
  const { kind, path, sha256 } = target;
  const base = bundle === sha256 ? {} : { base: bundle };
  const note = (phase: AttemptRecord["phase"], reason = "", text = "") => {
    const detail = text.slice(0, 4_000);
    const record = { sha256, ...base, generation, phase, reason, detail, atMs: Date.now() };
    const known = state.current.get();
    const before = known.attempts[kind];
    const isKnown =
      before?.sha256 === sha256 &&
      before.generation === generation &&
      before.phase === phase &&
      before.reason === reason;
    // The same again is no news: a server that is away for days would get a row for every try.
    if (isKnown) return;
    if (phase === "applied") state.trace.decided("proof");
    if (phase === "rejected") state.trace.decided("refusal");
    state.current.set({ ...known, attempts: { ...known.attempts, [kind]: record } });
    state.log[phase === "rejected" ? "warn" : "info"]({ kind, path, ...record }, `bundle ${phase}`);
    state.onChange();
  };
  const reject = (reason: string, detail: string, until: "targets" | "all"): StepEnd => {
    const known = state.current.get();
    const rejection = { generation, sha256, metadata: metadataKeys(state.trust.versions())[until] };
    state.current.set({ ...known, rejections: { ...known.rejections, [kind]: rejection } });
    // What still runs may be on trial itself; only the trial of what was refused is over.
    if (state.trials.of(kind)?.sha256 === sha256) state.trials.end(kind);
    note("rejected", reason, detail);
    return "again";
  };
  return { note, reject };
}

function kept({ current, live, bundles }: State): readonly string[] {
  const { running, trials, assignment } = current.get();
  const tried = kinds.flatMap((kind) => trials[kind]?.sha256 ?? []);
  const assigned = assignment?.targets.map((t) => t.sha256) ?? [];
  const good = kinds.flatMap((kind) => running[kind]?.sha256 ?? []);
  const whole = [...good, ...tried, ...Object.values(live.hashes())];
  const parts = whole.flatMap((sha256) => partsAt(bundles.pathOf(sha256)));
  return [...assigned, ...(assignment?.layers ?? []).map((layer) => layer.sha256), ...whole, ...parts];
}
