import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { layerOfPath, parseBundle, targetPath } from "#trust";
import { AgentError, problemOf } from "./agent-error.ts";
import type { State } from "./applier.ts";
import type { RunningRules } from "./candidate-work.ts";
import { compositionIn, encodeComposition, type Composition, type LayerPart } from "./composition.ts";
import type { AttemptRecord } from "./current.ts";
import type { Assignment, Part, Target } from "./domain/apply-plan.ts";

/** The assignment as it is applied. */
export interface Wanted {
  /** Its rules are the composition, where there is one. */
  readonly assignment: Assignment | undefined;
  readonly composition?: Composition;
  /** Whether a layer could not be fetched yet. */
  readonly isLacking: boolean;
}

const sha256Of = (text: string) => createHash("sha256").update(text).digest("hex");

/**
 * What is to run: the rules bundle of the assignment with the layers that teams may put on it here, now. A layer that may not
 * start, or cannot be fetched, is left out and said so; the bundle does not wait for it. One that runs goes on until the
 * assignment, or the delegation, takes it away.
 */
export async function wantedOf(state: State): Promise<Wanted> {
  const { assignment } = state.current.get();
  const base = assignment?.targets.find(({ kind }) => kind === "rules");
  if (assignment === undefined || base === undefined) return { assignment, isLacking: false };
  forgetGone(state);
  const running = runningComposition(state);
  const layers: LayerPart[] = [];
  let isLacking = false;
  for (const layer of assignment.layers ?? []) {
    const chosen = await choose(state, layer, running, assignment.generation);
    if (chosen === "lacking") isLacking = true;
    const [known] =
      chosen === "lacking" || chosen === undefined ? standingPart(state, layer, running) : [chosen];
    if (known !== undefined) layers.push(known);
  }
  if (layers.length === 0) return { assignment, isLacking };
  const composition = sameAs(state, running, { base, layers });
  const text = encodeComposition(composition);
  const target: Target = { ...base, length: Buffer.byteLength(text), sha256: sha256Of(text) };
  const targets = assignment.targets.map((each) => (each.kind === "rules" ? target : each));
  return { assignment: { ...assignment, targets }, composition, isLacking };
}

/** The layer as it is to run; undefined when it may not start, "lacking" when it is not here yet. */
async function choose(
  state: State,
  layer: Part,
  running: Composition | undefined,
  generation: number,
): Promise<LayerPart | undefined | "lacking"> {
  const name = nameOf(layer);
  if (proved(state, layer)) return standingPart(state, layer, running)[0];
  const note = (phase: AttemptRecord["phase"], reason: string, detail: string) =>
    noteLayer(state, name, { sha256: layer.sha256, generation, phase, reason, detail });
  const failed = state.current.get().layers?.[name];
  if (failed?.phase === "rolled-back" && failed.sha256 === layer.sha256) {
    note("rolled-back", failed.reason, failed.detail);
    return undefined;
  }
  const checked = state.trust.checkLayer(layer, state.current.get().labels);
  if (!checked.ok) {
    note("rejected", checked.refusal.code, checked.refusal.message);
    return undefined;
  }
  try {
    await state.bundles.stage(layer, state.client(), state.signal);
  } catch (error) {
    const { code, message } = problemOf(error, "fetch/failed");
    const isForGood = error instanceof AgentError && code.startsWith("trust/");
    note(isForGood ? "rejected" : "received", code, message);
    return isForGood ? undefined : "lacking";
  }
  const { layer: _layer, authority: _authority, ...terms } = checked.value;
  const [before] = standingPart(state, layer, running);
  if (before === undefined) return { ...layer, terms };
  const { before: _before, ...known } = before;
  return { ...layer, terms, before: known };
}

/** The release of the same layer that runs, as it may go on: by the terms of today, or not at all. */
function standingPart(state: State, layer: Part, running: Composition | undefined): readonly LayerPart[] {
  const name = nameOf(layer);
  const part = running?.layers
    .flatMap(withBefore)
    .find((each) => nameOf(each) === name && proved(state, each));
  if (part === undefined) return [];
  const standing = state.trust.standing(name, state.current.get().labels);
  if (!standing.ok) {
    const { code, message } = standing.refusal;
    const generation = state.current.get().assignment?.generation ?? 0;
    noteLayer(state, name, {
      sha256: part.sha256,
      generation,
      phase: "rejected",
      reason: code,
      detail: message,
    });
    return [];
  }
  if (standing.value === undefined) return [part];
  const { layer: _layer, authority: _authority, ...terms } = standing.value;
  return [{ path: part.path, length: part.length, sha256: part.sha256, terms }];
}

/** What runs, when it comes to the same as what is wanted: whatever would have taken the place of a layer is of no account. */
function sameAs(state: State, running: Composition | undefined, wanted: Composition): Composition {
  if (running === undefined || !isDeepStrictEqual(bare(running.base), bare(wanted.base))) return wanted;
  const effective = running.layers.flatMap(withBefore).filter((part) => proved(state, part));
  const isSame =
    effective.length === wanted.layers.length &&
    wanted.layers.every((part) =>
      effective.some((each) => each.sha256 === part.sha256 && isDeepStrictEqual(each.terms, part.terms)),
    );
  return isSame ? running : wanted;
}

function withBefore({ before, ...part }: LayerPart): readonly LayerPart[] {
  return before === undefined ? [part] : [part, before];
}

function bare({ path, length, sha256 }: Part): Part {
  return { path, length, sha256 };
}

/** Whether the worker proved that it runs the release. */
function proved({ live }: State, { sha256 }: Part): boolean {
  return live.parts()?.layers.some(({ digest }) => digest === `sha256:${sha256}`) === true;
}

/** The composition that runs; undefined when a bundle runs by itself, or nothing. */
export function runningComposition({ live, bundles }: State): Composition | undefined {
  const { rules } = live.hashes();
  return live.parts() === undefined || rules === undefined ? undefined : compositionAt(bundles.pathOf(rules));
}

/** What runs, as candidates are put together with it; undefined while no rules run here. */
export function runningRules(state: State): RunningRules | undefined {
  const { bundles, live } = state;
  const pathOf = (hash: string) => bundles.pathOf(hash);
  const composition = runningComposition(state);
  if (composition !== undefined) {
    const layers = composition.layers.flatMap(withBefore).filter((part) => proved(state, part));
    return { base: composition.base, layers, pathOf };
  }
  const sha256 = live.hashes().rules;
  const bytes = sha256 === undefined ? undefined : readFileSync(pathOf(sha256));
  const bundle = bytes && parseBundle(bytes);
  if (sha256 === undefined || bundle?.ok !== true) return undefined;
  const base = { path: targetPath(bundle.value), length: bytes?.length ?? 0, sha256 };
  return { base, layers: [], pathOf };
}

/** The composition in a file; undefined for a bundle, and when there is no file. */
export function compositionAt(path: string): Composition | undefined {
  try {
    return compositionIn(readFileSync(path));
  } catch {
    // It is read to know what else is kept; whoever runs it says that it is gone.
    return undefined;
  }
}

/** Hashes of what the composition in a file is made of; none for a bundle. */
export function partsAt(path: string): readonly string[] {
  const composition = compositionAt(path);
  if (composition === undefined) return [];
  return [composition.base, ...composition.layers.flatMap(withBefore)].map(({ sha256 }) => sha256);
}

/** Whether what is written down is why the release that is assigned does not run: that one before it does is no news. */
function hasNewsOfAnother(
  noted: AttemptRecord | undefined,
  running: string,
  assignment: Assignment | undefined,
): boolean {
  if (noted === undefined || noted.sha256 === running) return false;
  return assignment?.layers?.some(({ sha256 }) => sha256 === noted.sha256) === true;
}

function nameOf({ path }: Part): string {
  return layerOfPath(path) ?? path;
}

/** The hex hash of the rules bundle that runs, with or without layers. */
export function runningBase({ live }: State): string | undefined {
  return live.parts()?.base.slice("sha256:".length) ?? live.hashes().rules;
}

/** Writes down how a layer stands; the same again is no news. */
export function noteLayer(state: State, name: string, record: Omit<AttemptRecord, "atMs">): void {
  const known = state.current.get();
  const { atMs: _atMs, ...before } = known.layers?.[name] ?? { atMs: 0 };
  const next = { ...record, detail: record.detail.slice(0, 4_000) };
  if (isDeepStrictEqual(before, next)) return;
  state.current.set({ ...known, layers: { ...known.layers, [name]: { ...next, atMs: Date.now() } } });
  const level = record.phase === "rejected" || record.phase === "rolled-back" ? "warn" : "info";
  state.log[level]({ layer: name, ...next }, `layer ${record.phase}`);
  state.onChange();
}

/** Says of each layer that the worker loaded, or left out, that it did. Those that are gone are forgotten. */
export function noteParts(state: State): void {
  const parts = state.live.parts();
  const { assignment, layers = {} } = state.current.get();
  const generation = assignment?.generation ?? 0;
  const shaOf = (digest: string) => digest.slice("sha256:".length);
  for (const { name, digest, code, why } of parts?.leftOut ?? []) {
    noteLayer(state, name, {
      sha256: shaOf(digest),
      generation,
      phase: "rejected",
      reason: code,
      detail: why,
    });
  }
  const refused = new Set(parts?.leftOut.map(({ name }) => name));
  for (const { name, digest } of parts?.layers ?? []) {
    if (refused.has(name) || hasNewsOfAnother(layers[name], shaOf(digest), assignment)) continue;
    noteLayer(state, name, { sha256: shaOf(digest), generation, phase: "applied", reason: "", detail: "" });
  }
}

/** Forgets what was tried of layers that are neither assigned nor run, so that no more is kept than runs or is to run. */
function forgetGone({ current, live }: State): void {
  const known = current.get();
  if (known.layers === undefined) return;
  const assigned = (known.assignment?.layers ?? []).map(nameOf);
  const names = new Set([...assigned, ...(live.parts()?.layers ?? []).map(({ name }) => name)]);
  const left = Object.entries(known.layers).filter(([name]) => names.has(name));
  if (left.length === Object.keys(known.layers).length) return;
  current.set({ ...known, layers: Object.fromEntries(left) });
}
