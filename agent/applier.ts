import type { Logger } from "pino";
import { AgentError, problemOf } from "./agent-error.ts";
import type { BundleStore } from "./bundles.ts";
import type { AttemptRecord, CurrentStore } from "./current.ts";
import { kinds, planApply } from "./domain/apply-plan.ts";
import type { Kind, Target } from "./domain/apply-plan.ts";
import { retryDelayMs } from "./domain/backoff.ts";
import type { AgentConnection } from "./link/clients.ts";
import type { ApplyResult, PipelineFacts } from "./pipeline/pipeline.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import type { TrustStore } from "./trust-store.ts";

/** What the applier works with. */
export interface ApplierPorts {
  readonly current: CurrentStore;
  readonly trust: TrustStore;
  readonly bundles: BundleStore;
  readonly pipeline: KeptPipeline;
  readonly client: () => AgentConnection["client"] | undefined;
  readonly facts: () => PipelineFacts;
  /** Told after each change of what runs or was tried. */
  readonly onChange: () => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** The ports, and whether what runs is to be loaded again. */
interface State extends ApplierPorts {
  reload: boolean;
}

/** Brings what runs to what is assigned, one bundle at a time; takes no input and keeps no queue. */
export interface Applier {
  /** Runs last-known-good from disk, without asking anybody. */
  resume(): Promise<void>;
  /** Something may have changed: look again. */
  nudge(): void;
  /** The facts changed: what runs is loaded again with them. */
  reload(): void;
}

export function createApplier(given: ApplierPorts): Applier {
  const ports: State = { ...given, reload: false };
  const loop = createLoop(() => step(ports), ports);
  return {
    nudge: loop.nudge,
    reload() {
      ports.reload = true;
      loop.nudge();
    },
    async resume() {
      const result = await runTogether(ports, {});
      if (result.ok) return;
      const { kind, reason, detail } = result;
      ports.log.error({ kind, reason, detail }, "last-known-good does not load");
    },
  };
}

type StepEnd = "again" | "rest" | "retry";

/** Runs steps one at a time until one rests; a nudge meanwhile makes it look once more, a retry comes by itself. */
function createLoop(step: () => Promise<StepEnd>, { log, signal }: Pick<ApplierPorts, "log" | "signal">) {
  let busy = false;
  let again = false;
  let failures = 0;
  let retry: NodeJS.Timeout | undefined;

  const retryAfter = (ms: number) => {
    clearTimeout(retry);
    retry = setTimeout(nudge, ms);
  };
  const work = async (): Promise<void> => {
    busy = true;
    try {
      do {
        again = false;
        let end: StepEnd = "again";
        while (end === "again" && !signal.aborted) end = await step();
        failures = end === "retry" ? failures + 1 : 0;
        if (end === "retry") retryAfter(retryDelayMs(failures, Math.random()));
      } while (again && !signal.aborted);
    } catch (error) {
      log.error({ err: error }, "apply failed in an unforeseen way; will look again");
      retryAfter(5_000);
    } finally {
      busy = false;
    }
  };
  function nudge(): void {
    if (signal.aborted) clearTimeout(retry);
    else if (busy) again = true;
    else void work();
  }
  return { nudge };
}

/** Loads again what was asked to be, then applies the next bundle that is assigned and does not run. */
async function step(ports: State): Promise<StepEnd> {
  if (ports.reload) {
    ports.reload = false;
    await runTogether(ports, {});
  }
  const { assignment, rejections, running } = ports.current.get();
  const hashes = Object.fromEntries(
    kinds.flatMap((kind) => (running[kind] ? [[kind, running[kind].sha256]] : [])),
  );
  const plan = planApply({
    assignment,
    running: hashes,
    rejections,
    targetsVersion: ports.trust.versions().targets,
  });
  if (plan.apply === undefined || assignment === undefined) return "rest";
  const outcome = await attempt(ports, plan.apply, assignment.generation);
  return outcome === "retry" ? "retry" : "again";
}

/** Applies one bundle: check, fetch, hand over, take the proof. `retry` means that time may heal it. */
async function attempt(ports: ApplierPorts, target: Target, generation: number): Promise<"done" | "retry"> {
  const note = (phase: AttemptRecord["phase"], reason = "", detail = "") => {
    const record = {
      sha256: target.sha256,
      generation,
      phase,
      reason,
      detail: detail.slice(0, 4_000),
      atMs: Date.now(),
    };
    const current = ports.current.get();
    ports.current.set({ ...current, attempts: { ...current.attempts, [target.kind]: record } });
    ports.log.info({ kind: target.kind, path: target.path, ...record }, `bundle ${phase}`);
    ports.onChange();
  };
  const reject = (reason: string, detail: string) => {
    const current = ports.current.get();
    const rejection = { generation, sha256: target.sha256, targetsVersion: ports.trust.versions().targets };
    ports.current.set({ ...current, rejections: { ...current.rejections, [target.kind]: rejection } });
    note("rejected", reason, detail);
    return "done" as const;
  };

  const listed = ports.trust.checkTarget(target);
  if (!listed.ok) return reject(listed.refusal.code, listed.refusal.message);
  try {
    await ports.bundles.stage(target, ports.client(), ports.signal);
  } catch (error) {
    const { code, message } = problemOf(error, "fetch/failed");
    if (error instanceof AgentError && code.startsWith("trust/")) return reject(code, message);
    note("received", code, message);
    return "retry";
  }
  note("applying");
  const result = await runTogether(ports, { [target.kind]: target.sha256 });
  if (!result.ok) return reject(result.reason, result.detail);
  note("applied");
  await ports.bundles.prune(kept(ports));
  return "done";
}

/** Hands the pipeline the whole set: what runs, with the given hashes in place of the running ones. */
async function runTogether(
  ports: ApplierPorts,
  change: { readonly [K in Kind]?: string },
): Promise<ApplyResult> {
  const { running } = ports.current.get();
  const wanted = (kind: Kind) => {
    const sha256 = change[kind] ?? running[kind]?.sha256;
    return sha256 === undefined
      ? {}
      : { [kind]: { path: ports.bundles.pathOf(sha256), digest: `sha256:${sha256}` } };
  };
  const result = await ports.pipeline.apply({ ...wanted("rules"), ...wanted("shipper") }, ports.facts());
  if (!result.ok) return result;
  const current = ports.current.get();
  const now = Date.now();
  const proved = (kind: Kind) => {
    const sha256 = result.running[kind]?.slice("sha256:".length);
    if (sha256 === undefined) return {};
    const before = current.running[kind];
    return { [kind]: before?.sha256 === sha256 ? before : { sha256, sinceMs: now } };
  };
  ports.current.set({ ...current, running: { ...proved("rules"), ...proved("shipper") } });
  ports.onChange();
  return result;
}

function kept(ports: ApplierPorts): readonly string[] {
  const { running, assignment } = ports.current.get();
  const assigned = assignment?.targets.map((t) => t.sha256) ?? [];
  return [...assigned, ...kinds.flatMap((kind) => running[kind]?.sha256 ?? [])];
}
