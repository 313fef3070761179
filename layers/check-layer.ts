import { loadRules, renderFindings } from "#engine";
import type { Bundle, LayerRelease } from "#trust";
import { composeRules, ownedFiles, type OwnedLayer } from "./compose.ts";

/** What no bundle under it can make good: the text is no YAML, or no rules file. */
const unreadable: readonly string[] = ["LOAD_ERR_YAML_PARSE", "LOAD_ERR_YAML_VALIDATE"];

/** Why the files of a release can be read nowhere; undefined when that depends on the rules that they are put on. */
export function unreadableLayer(release: LayerRelease): string | undefined {
  const files = ownedFiles(release);
  const bad = files.filter((file) => {
    const report = loadRules([file]);
    return report.results.some(({ errors }) => errors.some(({ code }) => unreadable.includes(code)));
  });
  if (bad.length === 0) return undefined;
  return renderFindings(loadRules(bad), bad).trimEnd();
}

/**
 * Why a release passes on none of these bundles, in the words of the first; undefined when it passes on one, or there is none.
 * Judged for a cluster that has the labels of the layer's selector and no others: what else can meet there, agents judge.
 */
export function misfitLayer(layer: OwnedLayer, bases: readonly Bundle[]): string | undefined {
  const problems = bases.map((base) => {
    const { report, taken, leftOut } = composeRules(base, layer.terms.selector, [layer]);
    if (!report.ok || taken.length > 0) return undefined;
    const on = `On ${base.name}@${base.version}`;
    return leftOut.map(({ code, why }) => `${on} it would be left out: ${why} (${code})`).join("\n");
  });
  return problems.every((problem) => problem !== undefined) ? problems[0] : undefined;
}
