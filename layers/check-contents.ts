import { loadRules, renderFindings } from "#engine";
import { type ConfigFile, parseWithStandIns, renderProblems } from "#shipper";
import { type Bundle, effectiveFiles, type Layer, layerId, responsePath, responseText } from "#trust";
import { findConflicts, renderConflicts } from "./conflicts.ts";
import { parseResponses, responseProblems } from "./response-policy.ts";
import { combinationsMax, layerSets } from "./layer-sets.ts";

/** What a bundle holds, by kind of thing: rules, macros and lists, or inputs, filters and outputs. */
export type ContentCounts = Readonly<Record<string, number>>;

export type Contents =
  | {
      readonly ok: true;
      /** Of the base files alone. */
      readonly counts: ContentCounts;
      /** Combinations of layers that were loaded. */
      readonly combinations: number;
      /** False when layers can meet in more ways than are tried; each alone and the largest were. */
      readonly isComplete: boolean;
    }
  | { readonly ok: false; readonly why: string };

/**
 * Loads what a bundle holds as agents would, with every combination of layers that a cluster can have, and refuses layers
 * that contradict each other. At the bounds of the rule language that takes minutes.
 */
export function checkContents(bundle: Bundle): Contents {
  const { sets, isComplete } = layerSets(bundle, combinationsMax);
  const name = `${bundle.name}@${bundle.version}`;
  const proven = new Proven(bundle);
  let counts: ContentCounts | undefined;
  for (const { labels, layers } of sets) {
    const files = effectiveFiles(bundle, labels);
    const loaded =
      bundle.kind === "rules" ? loadedRules(files, proven.filesBefore(layers)) : loadedShipper(files);
    if ("findings" in loaded) {
      const where = layers.length === 0 ? "" : ` with the layers ${layers.map(layerId).join(", ")}`;
      return { ok: false, why: `${name} does not load${where}:\n${loaded.findings}` };
    }
    proven.add(layers);
    counts ??= loaded.counts;
  }
  const responses = badResponses(bundle);
  if (responses !== undefined) {
    return { ok: false, why: `${name} has responses that cannot be used:\n${responses}` };
  }
  const conflicts = findConflicts(bundle);
  if (conflicts.length > 0) {
    return {
      ok: false,
      why: `${name} has layers that contradict each other:\n${renderConflicts(conflicts)}`,
    };
  }
  return { ok: true, counts: counts ?? {}, combinations: sets.length, isComplete };
}

/** Why the responses of a bundle are refused, judged on the rules of its base; undefined when all is well. */
function badResponses(bundle: Bundle): string | undefined {
  const lines = (problems: readonly string[]) =>
    problems.map((each) => `  ${responsePath}: ${each}`).join("\n");
  if (bundle.kind !== "rules") return undefined;
  const inLayer = bundle.layers.find(({ files }) => files.some(({ path }) => path === responsePath));
  if (inLayer !== undefined) {
    return lines([`layer ${layerId(inLayer)} has one, and only the base may respond`]);
  }
  const text = responseText(bundle);
  if (text === undefined) return undefined;
  const parsed = parseResponses(text);
  if (!parsed.ok) return lines(parsed.problems);
  const base = { ...bundle, layers: [] };
  const problems = responseProblems(parsed.policies, loadRules(effectiveFiles(base, {})).ruleset.rules);
  return problems.length === 0 ? undefined : lines(problems);
}

/** Sets of layers that loaded, so that the next one is compiled only from where it differs. */
class Proven {
  private readonly bundle: Bundle;
  private readonly sets: Set<string>;

  constructor(bundle: Bundle) {
    this.bundle = bundle;
    this.sets = new Set();
  }

  add(layers: readonly Layer[]): void {
    this.sets.add(layers.map(layerId).join());
  }

  /** How many of the files of a set, from the first, are those of a set that loaded. */
  filesBefore(layers: readonly Layer[]): number {
    for (let count = layers.length - 1; count >= 0; count--) {
      const earlier = layers.slice(0, count);
      if (!this.sets.has(earlier.map(layerId).join())) continue;
      return earlier.reduce((sum, { files }) => sum + files.length, this.bundle.files.length);
    }
    return 0;
  }
}

type Loaded = { readonly counts: ContentCounts } | { readonly findings: string };

function loadedRules(files: readonly ConfigFile[], provenFiles: number): Loaded {
  const report = loadRules(files, { provenFiles });
  if (!report.ok) return { findings: renderFindings(report, files).trimEnd() };
  const { rules, macroCount, listCount } = report.ruleset;
  return { counts: { rules: rules.length, macros: macroCount, lists: listCount } };
}

function loadedShipper(files: readonly ConfigFile[]): Loaded {
  const parsed = parseWithStandIns(files);
  if (!parsed.ok) return { findings: renderProblems(parsed.problems) };
  const { inputs, filters, outputs } = parsed.config;
  return { counts: { inputs: inputs.length, filters: filters.length, outputs: outputs.length } };
}
