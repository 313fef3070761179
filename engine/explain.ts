import type { Check, Expression } from "./ast.ts";
import { canonical, operandText } from "./canonical.ts";
import type { DetectorOptions } from "./detector.ts";
import { checksIn, detectOne, operandsIn, type Probed, probe, type ProbedValue } from "./probe.ts";
import { keepRules } from "./select.ts";
import type { RuleInfo, RuleSet } from "./ruleset.ts";

/** A part of a condition and what became of it. */
export interface ExplainedPart {
  readonly kind: "and" | "or" | "not" | "check";
  /** The check in canonical form; empty for groups. */
  readonly text: string;
  /** Macros that this part is the body of, the outermost first. */
  readonly macros: readonly string[];
  /** The exception that this part is, if it is one. */
  readonly exception?: string;
  readonly verdict: boolean;
  /** False when an earlier part had already decided the group. */
  readonly reached: boolean;
  /** Whether the verdict of the whole condition hangs on this part. */
  readonly decisive: boolean;
  /** What the check read; null is a missing field. */
  readonly values: readonly { readonly field: string; readonly value: ProbedValue }[];
  readonly parts: readonly ExplainedPart[];
}

/** Why a rule did or did not raise an alert on one event. */
export interface Explanation {
  readonly rule: RuleInfo;
  readonly verdict: boolean;
  /** Rules that match, in the order in which they are tried. */
  readonly matching: readonly string[];
  /** The rules that raise an alert, under the given kind of matching. */
  readonly alerting: readonly string[];
  readonly condition: ExplainedPart;
}

export type ExplainOutcome =
  | { readonly ok: true; readonly explanation: Explanation }
  | { readonly ok: false; readonly problem: string };

/** Makes a function that explains one rule, event by event. Undefined when the ruleset has no rule of that name. */
export function explainRule(
  ruleset: RuleSet,
  name: string,
  options: DetectorOptions,
): ((line: string) => ExplainOutcome) | undefined {
  const rule = ruleset.rules.find((one) => one.name === name);
  const compiled = ruleset.compiled.find((one) => one.name === name);
  if (rule === undefined || compiled === undefined) return undefined;
  const checks = checksIn(compiled.condition);
  const probeEvent = probe(checks, rule.source, ruleset, options);
  const all = detectOne(ruleset, { ...options, ruleMatching: "all" });
  const own = detectOne(
    keepRules(ruleset, (one) => one.name === name),
    { ...options, ruleMatching: "all" },
  );
  return (line) => {
    const probed = probeEvent(line);
    if (probed.events !== 1) {
      const reason = probed.problems.join("; ") || `the text holds ${probed.events} events, not one`;
      return { ok: false, problem: reason };
    }
    const matching = all(line).alerts.map((alert) => alert.rule);
    const verdict = own(line).alerts.length > 0;
    const parts = explainPart(compiled.condition, new Verdicts(checks, probed), true, true);
    const condition = nameExceptions(parts, rule);
    const alerting = options.ruleMatching === "all" ? matching : matching.slice(0, 1);
    return { ok: true, explanation: { rule, verdict, matching, alerting, condition } };
  };
}

/** Exceptions are the last parts of a condition; see {@link RuleInfo.ownCondition}. */
function nameExceptions(condition: ExplainedPart, rule: RuleInfo): ExplainedPart {
  if (rule.ownCondition === rule.condition) return condition;
  const names = rule.exceptions.filter(({ values }) => values.length > 0).map(({ name }) => name);
  const parts = condition.parts.map((part, index) => {
    const exception = names[index - 1];
    return exception === undefined ? part : { ...part, exception };
  });
  return { ...condition, parts };
}

/** Hands out the verdicts of checks from left to right, which is the order they were collected in. */
class Verdicts {
  readonly probed: Probed;
  private readonly places: ReadonlyMap<Check, number>;

  constructor(checks: readonly Check[], probed: Probed) {
    this.probed = probed;
    this.places = new Map(checks.map((check, index) => [check, index]));
  }

  of(expression: Expression): boolean {
    switch (expression.kind) {
      case "and":
        return expression.parts.every((part) => this.of(part));
      case "or":
        return expression.parts.some((part) => this.of(part));
      case "not":
        return !this.of(expression.part);
      case "check":
        return this.probed.verdicts[this.places.get(expression) ?? -1] ?? false;
      case "identifier":
        return false;
    }
  }
}

function explainPart(
  expression: Expression,
  verdicts: Verdicts,
  reached: boolean,
  decisive: boolean,
): ExplainedPart {
  const verdict = verdicts.of(expression);
  if (expression.kind === "identifier") throw new Error(`macro ${expression.name} was not resolved`);
  const { kind, macros = [] } = expression;
  const common = { kind, macros, verdict, reached, decisive, text: "", values: [] };
  if (kind === "check") {
    const names = [...new Set(operandsIn(expression).map(operandText))];
    const values = names.flatMap((field) => {
      const value = verdicts.probed.values.get(field);
      return value === undefined ? [] : [{ field, value }];
    });
    return { ...common, text: canonical(expression), values, parts: [] };
  }
  if (kind === "not") {
    return { ...common, parts: [explainPart(expression.part, verdicts, reached, decisive)] };
  }
  // One part decides an "or" that holds and an "and" that does not: the first that is as the whole.
  const deciderVerdict = kind === "or";
  const decider = expression.parts.findIndex((part) => verdicts.of(part) === deciderVerdict);
  const parts = expression.parts.map((part, index) =>
    explainPart(
      part,
      verdicts,
      reached && (decider < 0 || index <= decider),
      decisive && (decider < 0 || index === decider),
    ),
  );
  return { ...common, parts };
}
