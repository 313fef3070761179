import type { State } from "./applier.ts";
import type { AttemptRecord } from "./current.ts";
import { whateverMetadata } from "./domain/apply-plan.ts";
import type { Kind } from "./domain/apply-plan.ts";
import { deathsMax } from "./domain/trial.ts";
import type { SoakVerdict, Trial } from "./domain/trial.ts";
import { layerOfPath } from "#trust";
import { compositionAt, noteLayer, partsAt } from "./owned-layers.ts";
import { agentVersion } from "./version.ts";

/**
 * Takes a bundle that failed on trial out of use: last-known-good runs instead, and the bundle is tried again only when a
 * newer assignment names it. `verdict` says what the soak found; without one it died too often.
 */
export async function goBack(
  state: State,
  kind: Kind,
  trial: Trial,
  verdict: Extract<SoakVerdict, { kind: "failed" }> | undefined,
): Promise<void> {
  const { current, live, conditions, log } = state;
  const good = current.get().running[kind]?.sha256;
  const isRunning = live.hashes()[kind] === trial.sha256;
  if (verdict === undefined) state.pipeline.forgive();
  // A program beside the agent has it still, whatever it shows.
  if ((isRunning || verdict !== undefined) && good === undefined) {
    // Poor detection is better than none: there is nothing to go back to.
    const why = verdict === undefined ? trial.lastDeath : `${verdict.reason}: ${verdict.detail}`;
    conditions.raise(
      `soak/failed ${kind}`,
      `The ${kind} do not pass their soak and nothing ran before: ${why}`,
    );
    return;
  }
  const { reason, detail } = verdict ?? deathOf(trial);
  const phase = trial.sinceMs === undefined ? "rejected" : "rolled-back";
  const fresh = freshLayers(state, kind, trial.sha256, good);
  writeDown(state, kind, trial, { phase, reason, detail }, fresh.length > 0);
  for (const { name, sha256 } of fresh) {
    // The bundle is tried again without them, so they do not keep it out.
    noteLayer(state, name, { sha256, generation: trial.generation, phase: "rolled-back", reason, detail });
  }
  log.warn({ kind, sha256: trial.sha256, reason, detail }, `bundle ${phase}, last-known-good runs`);
  if (isRunning && good !== undefined) {
    const labels = live.labels() ?? current.get().labels;
    const back = await live.hand({ ...live.hashes(), [kind]: good }, labels);
    // A worker that keeps the bad bundle is worth less than a new one, which gets last-known-good.
    if (back.ok && back.away !== undefined) state.restore = true;
    if (!back.ok) state.pipeline.kill(`last-known-good did not load beside what runs: ${back.reason}`);
  }
  state.onChange();
}

function deathOf({ deaths, lastDeath, sinceMs }: Trial) {
  const reason = sinceMs === undefined ? "pipeline/crashed" : "soak/crash-loop";
  const when = sinceMs === undefined ? "while it was loaded" : "within its soak";
  const detail = `The pipeline died ${deaths} times ${when}, ${deathsMax} are too many; the last time: ${lastDeath}`;
  return { reason, detail };
}

/** Layers of what failed that were not in last-known-good: whatever went wrong is their doing until it is shown otherwise. */
function freshLayers({ bundles }: State, kind: Kind, failed: string, good: string | undefined) {
  if (kind !== "rules") return [];
  const known = new Set(good === undefined ? [] : partsAt(bundles.pathOf(good)));
  const layers = compositionAt(bundles.pathOf(failed))?.layers ?? [];
  return layers
    .filter(({ sha256 }) => !known.has(sha256))
    .map(({ path, sha256 }) => ({ name: layerOfPath(path) ?? path, sha256 }));
}

/** In one write, so that a kill leaves the trial as it was or ends it with its reason. */
function writeDown(
  { current, tail, bundles }: State,
  kind: Kind,
  { sha256, generation }: Trial,
  how: Pick<AttemptRecord, "phase" | "reason" | "detail">,
  isLayers: boolean,
): void {
  const known = current.get();
  const { [kind]: _, ...trials } = known.trials;
  const composed = kind === "rules" ? compositionAt(bundles.pathOf(sha256)) : undefined;
  const base = composed === undefined ? {} : { base: composed.base.sha256 };
  const attempt = { sha256, ...base, generation, ...how, logTail: tail.read(), atMs: Date.now() };
  const rejection = { sha256, generation, metadata: whateverMetadata, agentVersion };
  current.set({
    ...known,
    trials,
    ...(isLayers ? {} : { attempts: { ...known.attempts, [kind]: attempt } }),
    rejections: { ...known.rejections, [kind]: rejection },
  });
}
