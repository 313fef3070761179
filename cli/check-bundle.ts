import { loadRules, renderFindings } from "#engine";
import { parseWithStandIns, renderProblems } from "#shipper";
import { type Bundle, effectiveFiles } from "#trust";
import { refused } from "./failure.ts";

/**
 * Loads what a bundle holds as agents would: for a cluster that no layer matches, and for one that each layer matches.
 * Throws a failure with the findings, so that a broken bundle is found before it is signed.
 */
export function checkContents(bundle: Bundle): void {
  for (const labels of [{}, ...bundle.layers.map((layer) => layer.selector)]) {
    const files = effectiveFiles(bundle, labels);
    const findings = bundle.kind === "rules" ? rulesFindings(files) : shipperFindings(files);
    if (findings === undefined) continue;
    const where = Object.keys(labels).length === 0 ? "" : ` where ${JSON.stringify(labels)} applies`;
    throw refused(
      `The ${bundle.kind} bundle ${bundle.name}@${bundle.version} does not load${where}:\n${findings}`,
    );
  }
}

type Files = ReturnType<typeof effectiveFiles>;

function rulesFindings(files: Files): string | undefined {
  const report = loadRules(files);
  return report.ok ? undefined : renderFindings(report, files).trimEnd();
}

function shipperFindings(files: Files): string | undefined {
  const parsed = parseWithStandIns(files);
  return parsed.ok ? undefined : renderProblems(parsed.problems);
}
