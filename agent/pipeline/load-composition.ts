import { dirname, join } from "node:path";
import { engineVersion, renderFindings } from "#engine";
import type { RuleSet } from "#engine";
import { composeRules, type OwnedLayer } from "#layers";
import { checkEngine, checkLayerFits, layerOfPath, parseLayerRelease } from "#trust";
import type { Composition, LayerPart } from "../composition.ts";
import type { Part } from "../domain/apply-plan.ts";
import { failure, needsOf, readBundle, readSource, responsesOf } from "./load-bundle.ts";
import type { ApplyFailure, BundleSource, LoadedRules, PipelineFacts } from "./load-bundle.ts";
import type { Running } from "./messages.ts";
import { isProtectedBy } from "./protect.ts";
import type { RuleGuard } from "./protect.ts";

/** A layer by name, and the digest of the release's bytes that were loaded, or that were to be. */
export interface NamedPart {
  readonly name: string;
  readonly digest: string;
}

/** A layer that does not run, and why: a stable code and a sentence. */
export interface LeftOutPart extends NamedPart {
  readonly code: string;
  readonly why: string;
}

/** What rules are made of: digests of the bytes that were loaded, and what was left out. */
export interface RulesParts {
  readonly base: string;
  readonly layers: readonly NamedPart[];
  readonly leftOut: readonly LeftOutPart[];
}

type Read = { readonly part: NamedPart; readonly layer: OwnedLayer };

/**
 * Loads a rules bundle with the layers that teams put on it. The bundle has to load, as by itself; a layer that cannot be read,
 * says more than it may or does not load is left out, and the release of it that ran before is tried in its place.
 */
export function loadComposition(
  { base, layers }: Composition,
  source: BundleSource,
  facts: PipelineFacts,
  guard: RuleGuard,
): LoadedRules<RuleSet> {
  const released = source.released === undefined ? {} : { released: { ...source.released, path: base.path } };
  const bundle = readBundle("rules", { ...siblingOf(source, base), ...released });
  if (!bundle.ok) return bundle;
  const fits = checkEngine(bundle.value, engineVersion);
  if (!fits.ok) return failure("rules", fits.refusal.code, fits.refusal.message);

  const responses = responsesOf(bundle.value);
  if (!responses.ok) return responses;

  const leftOut: LeftOutPart[] = [];
  const options = { isProtected: isProtectedBy(guard) };
  let wanted: readonly LayerPart[] = layers;
  // Whatever does not pass makes way for what ran before it, at most once each.
  for (;;) {
    const read = wanted.flatMap((part) => readLayer(part, source, bundle.value.org, leftOut));
    const {
      report,
      files,
      taken,
      leftOut: refused,
    } = composeRules(
      bundle.value,
      facts.labels,
      read.map(({ layer }) => layer),
      options,
    );
    if (!report.ok) return failure("rules", "rules/invalid", renderFindings(report, files));
    for (const { layer, code, why } of refused) {
      const part = read.find((each) => each.layer === layer)?.part;
      if (part !== undefined) leftOut.push({ ...part, code, why: why.slice(0, 2_000) });
    }
    const running = read.filter(({ layer }) => taken.includes(layer)).map(({ part }) => part);
    const next = wanted.flatMap((part) => standInFor(part, running));
    if (next.length === wanted.length && next.every((part, index) => part === wanted[index])) {
      const missing = missingPart(source, running, leftOut);
      if (missing !== undefined) return missing;
      const parts = { base: bundle.digest, layers: running, leftOut };
      const needs = needsOf(bundle.value);
      return {
        ok: true,
        value: report.ruleset,
        digest: source.digest,
        files,
        parts,
        needs,
        responses: responses.value,
      };
    }
    wanted = next;
  }
}

/** Why what is tried is not among what would run. */
function missingPart(
  { needs }: BundleSource,
  running: readonly NamedPart[],
  leftOut: readonly LeftOutPart[],
): ApplyFailure | undefined {
  if (needs === undefined || running.some(({ digest }) => digest === needs)) return undefined;
  const { code, why } = leftOut.find(({ digest }) => digest === needs) ?? {
    code: "layer/left-out",
    why: `The layer ${needs} is none of those that were to be loaded`,
  };
  return failure("rules", code, why);
}

/** The layers that a candidate comes without, in words; undefined when it comes with all of them. */
export function withoutLayers(parts: RulesParts | undefined): Note | undefined {
  const gone = (parts?.leftOut ?? []).map(({ name, code, why }) => `${name} (${code}: ${why})`);
  if (gone.length === 0) return undefined;
  return { reason: "layer/left-out", detail: `Without layers that would not pass: ${gone.join("; ")}` };
}

/** What there is to say of a candidate that is evaluated all the same: a stable code and a sentence. */
export interface Note {
  readonly reason: string;
  readonly detail: string;
}

/** What runs once this is loaded, in place of what ran. */
export function runningAfter(
  before: Running,
  rules: { readonly digest: string; readonly parts?: RulesParts } | undefined,
  shipper: { readonly digest: string } | undefined,
): Running {
  const { parts: known, ...others } = before;
  const parts = rules === undefined ? known : rules.parts;
  return {
    ...others,
    ...(rules === undefined ? {} : { rules: rules.digest }),
    ...(shipper === undefined ? {} : { shipper: shipper.digest }),
    ...(parts === undefined ? {} : { parts }),
  };
}

/** The part itself when it runs; else the one before it, or nothing. */
function standInFor(part: LayerPart, running: readonly NamedPart[]): readonly LayerPart[] {
  if (running.some(({ digest }) => digest === `sha256:${part.sha256}`)) return [part];
  return part.before === undefined ? [] : [part.before];
}

function readLayer(
  part: LayerPart,
  source: BundleSource,
  org: string,
  leftOut: LeftOutPart[],
): readonly Read[] {
  const named = { name: layerOfPath(part.path) ?? part.path, digest: `sha256:${part.sha256}` };
  const leave = (code: string, why: string): readonly Read[] => {
    leftOut.push({ ...named, code, why });
    return [];
  };
  const read = readSource("rules", siblingOf(source, part));
  if (!read.ok) return leave(read.reason, read.detail);
  const release = parseLayerRelease(read.value);
  if (!release.ok) return leave(release.refusal.code, release.refusal.message);
  const fits = checkLayerFits(part.path, release.value, org);
  if (!fits.ok) return leave(fits.refusal.code, fits.refusal.message);
  return [{ part: named, layer: { release: release.value, terms: part.terms } }];
}

/** Everything that is signed lies in one folder, under its hash. */
function siblingOf(source: BundleSource, { sha256 }: Part): BundleSource {
  return { path: join(dirname(source.path), `${sha256}.json`), digest: `sha256:${sha256}` };
}
