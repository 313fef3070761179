import { clean, countOf, cut } from "./text.ts";
import { diffWords } from "./word-diff.ts";

/** A value of an exception: a text, or a text or list for each field. */
export type ShownException = string | readonly (string | readonly string[])[];

/** What two sets of rules mean differently, as the engine compares them. */
export interface ShownComparison {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly disabled: readonly string[];
  readonly enabled: readonly string[];
  readonly changed: readonly {
    readonly name: string;
    readonly changes: readonly { readonly what: string; readonly before: string; readonly after: string }[];
    readonly exceptions: readonly {
      readonly name: string;
      readonly kind: string;
      readonly added: readonly ShownException[];
      readonly removed: readonly ShownException[];
    }[];
  }[];
  readonly reordered: boolean;
}

const textWidthMax = 400;
const valuesShownMax = 20;

/** Whether the two sets mean the same. */
export function isSame({ added, removed, changed, reordered }: ShownComparison): boolean {
  return added.length + removed.length + changed.length === 0 && !reordered;
}

/** What changed, rule by rule, with conditions cut to where they differ; at the end the counts. */
export function renderComparison(comparison: ShownComparison): string[] {
  if (isSame(comparison)) return ["The rules mean the same."];
  const { added, removed, disabled, enabled, changed, reordered } = comparison;
  const counts = [
    countOf(added.length, "rule") + " added",
    `${removed.length} removed`,
    `${changed.length} changed`,
    ...(disabled.length > 0 ? [`${disabled.length} disabled`] : []),
    ...(enabled.length > 0 ? [`${enabled.length} enabled`] : []),
  ];
  return [
    ...removed.map((name) => `- ${clean(name)}`),
    ...added.map((name) => `+ ${clean(name)}`),
    ...renderRules(changed),
    ...(reordered ? ["The rules stand in another order: another may match first."] : []),
    counts.join(", "),
  ];
}

type ChangedRule = ShownComparison["changed"][number];

/** Rules that changed in the same way, as through a list that all of them use, are told together. */
function renderRules(changed: readonly ChangedRule[]): string[] {
  const groups = new Map<string, { names: string[]; lines: string[] }>();
  for (const rule of changed) {
    const lines = renderChanges(rule);
    const key = lines.join("\n");
    const group = groups.get(key) ?? { names: [], lines };
    group.names.push(rule.name);
    groups.set(key, group);
  }
  return [...groups.values()].flatMap(({ names, lines }) => [
    ...names.map((name) => `~ ${clean(name)}`),
    ...lines,
  ]);
}

function renderChanges({ changes, exceptions }: ChangedRule): string[] {
  const isWording = changes.length + exceptions.length === 0;
  return [
    ...(isWording ? ["  condition: the same text, but other values in quotes"] : []),
    ...changes.flatMap(({ what, before, after }) => [`  ${what}:`, ...renderTexts(before, after)]),
    ...exceptions.flatMap(({ name, kind, added, removed }) => [
      `  exception ${clean(name)}: ${kind === "values" ? "other values" : kind}`,
      ...renderValues("-", removed),
      ...renderValues("+", added),
    ]),
  ];
}

/** Short texts whole, long ones only where they differ. */
function renderTexts(before: string, after: string): string[] {
  const line = (sign: string, text: string): string => `    ${sign} ${clean(cut(text, textWidthMax))}`;
  if (before.length + after.length < textWidthMax) return [line("-", before), line("+", after)];
  return diffWords(before, after).flatMap(({ context, before: gone, after: come }) => [
    line(" ", `… ${context}`),
    ...(gone === "" ? [] : [line("-", gone)]),
    ...(come === "" ? [] : [line("+", come)]),
  ]);
}

function renderValues(sign: string, values: readonly ShownException[]): string[] {
  const shown = values
    .slice(0, valuesShownMax)
    .map((value) => `    ${sign} ${clean(cut(valueText(value), textWidthMax))}`);
  const more = values.length - shown.length;
  return more > 0 ? [...shown, `    ${sign} and ${more} more`] : shown;
}

function valueText(value: ShownException): string {
  if (typeof value === "string") return value;
  return value.map((part) => (typeof part === "string" ? part : `(${part.join(", ")})`)).join(", ");
}
