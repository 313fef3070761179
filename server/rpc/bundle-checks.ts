import { setImmediate } from "node:timers/promises";

import { engineVersion, loadRules, renderFindings } from "#engine";
import { parseWithStandIns, renderProblems, type ConfigFile } from "#shipper";
import { checkEngine, effectiveFiles, effectiveLayers, type Bundle } from "#trust";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";

/** What a bundle holds, by kind of thing; shown in lists. */
export type BundleCounts = Readonly<Record<string, number>>;

type Labels = Readonly<Record<string, string>>;

/** Findings are cut to this, so that a refusal fits the headers that some protocols carry it in. */
const findingsCharsMax = 4_000;

/**
 * Loads a bundle as agents will: its base files, and every layer alone and together with all that can apply beside it.
 * So a layer that breaks the rules of one team is refused here and not found in a cluster. Answers with the counts of
 * the base.
 */
export async function checkBundleLoads(bundle: Bundle): Promise<Outcome<BundleCounts>> {
  const engine = checkEngine(bundle, engineVersion);
  if (!engine.ok) return refuse({ kind: "precondition", why: engine.refusal.message });
  let counts: BundleCounts | undefined;
  for (const labels of labelSets(bundle)) {
    const files = effectiveFiles(bundle, labels);
    const loaded = bundle.kind === "rules" ? checkRules(files) : checkShipper(files);
    if ("findings" in loaded) {
      const layers = effectiveLayers(bundle, labels).map((layer) => `${layer.level}-${layer.name}`);
      const where = layers.length === 0 ? "" : ` with the layers ${layers.join(", ")}`;
      const why = `${bundle.name}@${bundle.version} does not load${where}:\n${cut(loaded.findings)}`;
      return refuse({ kind: "invalid", problems: [{ field: "bundles", why }] });
    }
    counts ??= loaded.counts;
    // Loading takes CPU; between two loads others get their turn.
    await setImmediate();
  }
  return accept(counts ?? {});
}

/** Labels that bring out each set of layers worth trying: none, each alone, and each with all that go with it. */
export function labelSets(bundle: Bundle): readonly Labels[] {
  const sets: Labels[] = [{}];
  for (const layer of bundle.layers) {
    sets.push(layer.selector);
    let merged: Labels = layer.selector;
    for (const other of bundle.layers) {
      const fits = Object.entries(other.selector).every(([key, value]) => (merged[key] ?? value) === value);
      if (fits) merged = { ...merged, ...other.selector };
    }
    sets.push(merged);
  }
  const seen = new Map(
    sets.map((labels) => [
      effectiveLayers(bundle, labels)
        .map((each) => `${each.level}-${each.name}`)
        .join(),
      labels,
    ]),
  );
  return [...seen.values()];
}

type Loaded = { readonly counts: BundleCounts } | { readonly findings: string };

function checkRules(files: readonly ConfigFile[]): Loaded {
  const report = loadRules(files);
  if (!report.ok) return { findings: renderFindings(report, files) };
  const { rules, macroCount, listCount } = report.ruleset;
  return { counts: { rules: rules.length, macros: macroCount, lists: listCount } };
}

function checkShipper(files: readonly ConfigFile[]): Loaded {
  const parsed = parseWithStandIns(files);
  if (!parsed.ok) return { findings: renderProblems(parsed.problems) };
  const { inputs, filters, outputs } = parsed.config;
  return { counts: { inputs: inputs.length, filters: filters.length, outputs: outputs.length } };
}

function cut(text: string): string {
  if (text.length <= findingsCharsMax) return text;
  return `${text.slice(0, findingsCharsMax)}\n... and more: run fleetctl rules validate on the files`;
}
