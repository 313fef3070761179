import { loadRules, type LoadOptions, type LoadReport, type RulesFile, type RuleSet } from "#engine";
import { refused } from "../failure.ts";
import { asList } from "../flags.ts";
import { readSources, rulesEndings } from "../sources.ts";
import { tellFindings } from "./tell-findings.ts";

/** Rules that loaded. */
export interface ReadyRules {
  readonly ruleset: RuleSet;
  readonly report: LoadReport;
  readonly files: readonly RulesFile[];
}

/** Reads and loads rules files. Throws a failure with the findings when they do not load. */
export async function readyRules(
  named: readonly string[] | undefined,
  options: LoadOptions,
): Promise<ReadyRules> {
  const files = await readSources(asList(named), rulesEndings);
  return loadOrRefuse(files, options);
}

/** Loads rules files that were read. Throws a failure with the findings when they do not load. */
export function loadOrRefuse(files: readonly RulesFile[], options: LoadOptions): ReadyRules {
  const report = loadRules(files, options);
  if (report.ok) return { ruleset: report.ruleset, report, files };
  throw refused(`The rules do not load:\n${tellFindings(report, files)}`);
}
