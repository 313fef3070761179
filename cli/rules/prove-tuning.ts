import type { RulesFile, RuleSet } from "#engine";
import type { EngineChoice } from "./engine-choice.ts";
import type { Proposal } from "./noise.ts";
import { renderOverrideFile } from "./override-file.ts";
import { loadOrRefuse } from "./ready-rules.ts";
import { runRuleTests } from "./test-runner.ts";

/** Rules to be tuned and how they are run. */
export interface Tuned {
  readonly files: readonly RulesFile[];
  readonly ruleset: RuleSet;
  readonly engine: EngineChoice;
}

/** The rules with the proposals as exceptions. Throws a failure when they do not load. */
export function withProposals(tuned: Tuned, proposals: readonly Proposal[]): RuleSet {
  const override = { name: "proposed overrides", content: renderOverrideFile(proposals, tuned.ruleset) };
  return loadOrRefuse([...tuned.files, override], tuned.engine.load).ruleset;
}

/** What the rule tests say of proposals. */
export interface Verdict {
  readonly kept: readonly Proposal[];
  readonly withdrawn: readonly { readonly proposal: Proposal; readonly lost: readonly string[] }[];
  /** Must-fire examples of the tuned rules that passed before and were tried again. */
  readonly examples: number;
}

/**
 * Tries every must-fire example of the tuned rules again with the proposals, and withdraws those through which one is
 * lost. Examples that failed before prove nothing and are left out.
 */
export function judge(tuned: Tuned, proposals: readonly Proposal[], testFiles: readonly string[]): Verdict {
  const rules = new Set(proposals.map(({ rule }) => rule));
  /** By place, because two tests may have one name. */
  const run = (files: readonly RulesFile[]): ReadonlyMap<number, string> => {
    const results = runRuleTests(testFiles, { engine: tuned.engine, rules: files, firing: rules });
    return new Map(
      results.flatMap(({ failures, file, name }, place) =>
        failures.length === 0 ? [[place, `${file}: ${name}`] as const] : [],
      ),
    );
  };
  const passed = run(tuned.files);
  const lostBy = (some: readonly Proposal[]): readonly string[] => {
    const content = renderOverrideFile(some, tuned.ruleset);
    const still = run([...tuned.files, { name: "proposed overrides", content }]);
    return [...passed].filter(([place]) => !still.has(place)).map(([, test]) => test);
  };
  const together = proposals.length === 0 ? [] : lostBy(proposals);
  if (together.length === 0) return { kept: proposals, withdrawn: [], examples: passed.size };
  const alone = proposals.map((proposal) => ({ proposal, lost: lostBy([proposal]) }));
  const withdrawn = alone.filter(({ lost }) => lost.length > 0);
  const kept = alone.filter(({ lost }) => lost.length === 0).map(({ proposal }) => proposal);
  const still = kept.length === 0 ? [] : lostBy(kept);
  if (still.length === 0) return { kept, withdrawn, examples: passed.size };
  // Only together do the others lose an example: none of them is proven harmless.
  const rest = kept.map((proposal) => ({ proposal, lost: still }));
  return { kept: [], withdrawn: [...withdrawn, ...rest], examples: passed.size };
}
