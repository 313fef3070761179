import { clean, cut, type Paint, plain } from "./text.ts";

/** A value that a check read; null is a missing field. */
export type ShownValue = string | number | boolean | null | readonly ShownValue[];

/** A part of a condition with its verdict, as the engine explains it. */
export interface ShownPart {
  readonly kind: "and" | "or" | "not" | "check";
  readonly text: string;
  readonly macros: readonly string[];
  readonly exception?: string;
  readonly verdict: boolean;
  readonly reached: boolean;
  readonly decisive: boolean;
  readonly values: readonly { readonly field: string; readonly value: ShownValue }[];
  readonly parts: readonly ShownPart[];
}

/** One rule against one event. */
export interface ShownExplanation {
  readonly rule: { readonly name: string; readonly enabled: boolean; readonly source: string };
  readonly verdict: boolean;
  readonly matching: readonly string[];
  readonly alerting: readonly string[];
  readonly condition: ShownPart;
}

const textWidthMax = 160;
const valueWidthMax = 120;

/** Why a rule did or did not raise an alert: one sentence, the checks that decided it, then the whole tree. */
export function renderExplanation(explanation: ShownExplanation, paint: Paint = plain): string[] {
  const deciders = decidersOf(explanation.condition).map(({ negated, ...part }) => {
    const shown = negated ? { ...part, text: `not ${part.text}`, verdict: !part.verdict } : part;
    return `  ${renderCheck(shown, paint)}`;
  });
  return [
    renderOutcome(explanation),
    "",
    "Decided by:",
    ...new Set(deciders),
    "",
    "The whole condition (+ holds, - does not, ~ was not needed):",
    ...renderPart(explanation.condition, 1, paint),
  ];
}

/** What became of the rule, in one sentence. */
export function renderOutcome({ rule, verdict, alerting, matching }: ShownExplanation): string {
  const name = `"${clean(rule.name)}"`;
  const others = alerting.filter((one) => one !== rule.name).map((one) => `"${clean(one)}"`);
  if (!verdict) {
    const instead = others.length === 0 ? "" : ` The event raises ${others.join(", ")}.`;
    return `${name} does not match.${instead}`;
  }
  if (!rule.enabled) return `${name} matches, but it is disabled.`;
  if (alerting.includes(rule.name)) return `${name} matches and raises an alert.`;
  const before = matching.slice(0, matching.indexOf(rule.name)).map((one) => `"${clean(one)}"`);
  return `${name} matches, but ${before[0] ?? others[0] ?? "another rule"} stands before it and matches first; with --rule-matching all both raise alerts.`;
}

/** A check on which the verdict hangs; a negated one stands under an odd number of nots. */
export interface Decider extends ShownPart {
  readonly negated: boolean;
}

/** The checks on which the verdict hangs, from left to right. */
export function decidersOf(part: ShownPart, negated = false): readonly Decider[] {
  if (!part.decisive) return [];
  if (part.kind === "check") return [{ ...part, negated }];
  return part.parts.flatMap((inner) => decidersOf(inner, part.kind === "not" ? !negated : negated));
}

function renderPart(part: ShownPart, depth: number, paint: Paint): string[] {
  const indent = "  ".repeat(depth);
  if (part.kind === "check") return [`${indent}${renderCheck(part, paint)}`];
  return [
    `${indent}${mark(part, paint)} ${part.kind}${origin(part)}`,
    ...part.parts.flatMap((inner) => renderPart(inner, depth + 1, paint)),
  ];
}

function renderCheck(part: ShownPart, paint: Paint): string {
  const values = part.values.map(
    ({ field, value }) => `${field} is ${value === null ? "missing" : cut(valueText(value), valueWidthMax)}`,
  );
  const read = values.length === 0 ? "" : `   (${clean(values.join("; "))})`;
  return `${mark(part, paint)} ${clean(cut(part.text, textWidthMax))}${origin(part)}${read}`;
}

function valueText(value: ShownValue): string {
  return typeof value === "object" && value !== null
    ? `(${value.map(valueText).join(", ")})`
    : JSON.stringify(value);
}

function mark({ verdict, reached }: ShownPart, paint: Paint): string {
  if (!reached) return paint("faint", "~");
  return verdict ? paint("good", "+") : paint("bad", "-");
}

function origin({ macros, exception }: ShownPart): string {
  const from = [
    ...(exception === undefined ? [] : [`exception ${clean(exception)}`]),
    ...macros.map((macro) => `macro ${clean(macro)}`),
  ];
  return from.length === 0 ? "" : `   [${from.join(", ")}]`;
}
