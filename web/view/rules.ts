import { readPlainYaml, type PlainYaml } from "#engine";
import type { AlertCount } from "#proto/fleet/v1/alert";
import type { BundleFile } from "./bundle.ts";
import { priorities } from "./words.ts";

/** A rule as a bundle's files say it. */
export interface RuleLine {
  readonly name: string;
  readonly desc: string;
  /** Falco's words; empty when nothing is said. */
  readonly priority: string;
  readonly source: string;
  readonly condition: string;
  readonly output: string;
  readonly tags: readonly string[];
  readonly isEnabled: boolean;
  /** Layers that say something more about it: LEVEL/NAME. */
  readonly layers: readonly string[];
}

/** What a rules bundle says, item by item. */
export interface RulesText {
  readonly rules: readonly RuleLine[];
  /** Every rule, macro and list by its kind and name, with everything that is said of it. */
  readonly items: ReadonlyMap<string, string>;
  /** Files that could not be read; the servers refuse such bundles. */
  readonly problems: readonly string[];
}

type Item = Readonly<Record<string, PlainYaml>>;

const kinds = ["rule", "macro", "list"] as const;

/** Reads rules as they are written. What they mean together the engine of an agent says; this is for people who look for one. */
export function rulesOf(files: readonly BundleFile[]): RulesText {
  const rules = new Map<string, RuleLine>();
  const items = new Map<string, string>();
  const problems: string[] = [];
  for (const file of files) {
    const read = readPlainYaml(file.path, file.content);
    if (!read.ok) problems.push(`${file.path}: ${read.why}`);
    for (const item of read.ok ? mapsIn(read.value) : []) {
      const kind = kinds.find((each) => typeof item[each] === "string");
      if (kind === undefined) continue;
      const key = `${kind} ${textOf(item, kind)}`;
      items.set(key, `${items.get(key) ?? ""}${file.layer} ${JSON.stringify(item)}\n`);
      if (kind === "rule") {
        rules.set(textOf(item, kind), said(rules.get(textOf(item, kind)), item, file.layer));
      }
    }
  }
  return { rules: [...rules.values()], items, problems };
}

function mapsIn(value: PlainYaml): readonly Item[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly PlainYaml[]).filter(
    (each): each is Item => typeof each === "object" && each !== null && !Array.isArray(each),
  );
}

function textOf(item: Item, key: string): string {
  const value = item[key];
  return typeof value === "string" ? value : "";
}

/** A rule after one more item about it. What a layer says stands beside the rule: it is so only where the layer applies. */
function said(before: RuleLine | undefined, item: Item, layer: string): RuleLine {
  const { tags } = item;
  const own: RuleLine = {
    name: textOf(item, "rule"),
    desc: textOf(item, "desc").trim(),
    priority: wordOf(textOf(item, "priority")),
    source: textOf(item, "source"),
    condition: textOf(item, "condition").trim(),
    output: textOf(item, "output").trim(),
    tags: Array.isArray(tags)
      ? (tags as readonly PlainYaml[]).filter((tag): tag is string => typeof tag === "string")
      : [],
    isEnabled: textOf(item, "enabled").toLowerCase() !== "false",
    layers: layer === "" ? [] : [layer],
  };
  if (before === undefined) return own;
  if (layer !== "") return { ...before, layers: [...new Set([...before.layers, layer])] };
  const isPart = item["override"] !== undefined || textOf(item, "append") === "true";
  const isSwitch = own.condition === "" && item["enabled"] !== undefined;
  if (isSwitch) return { ...before, isEnabled: own.isEnabled };
  return isPart ? before : own;
}

function wordOf(text: string): string {
  return priorities.find((word) => word.toLowerCase() === text.toLowerCase()) ?? text;
}

/** What was written anew, taken out or written differently between two versions. */
export interface RulesChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export function changesOf(before: RulesText, after: RulesText): RulesChange {
  return {
    added: [...after.items.keys()].filter((key) => !before.items.has(key)),
    removed: [...before.items.keys()].filter((key) => !after.items.has(key)),
    changed: [...after.items].flatMap(([key, text]) =>
      before.items.has(key) && before.items.get(key) !== text ? [key] : [],
    ),
  };
}

/** A rule beside what it caught. */
export interface RuleRow {
  readonly name: string;
  /** Absent when the bundle does not have it and alerts do. */
  readonly rule?: RuleLine;
  /** Undefined when the server did not tell: it tells the loudest apart. */
  readonly alerts: number | undefined;
  readonly buckets: readonly number[];
  readonly last: AlertCount["lastAt"];
}

/** With parts of time the server tells so many rules apart. */
const toldMax = 100;

/** The rules of a bundle with their alerts, and those that alerted and are not in it. */
export function rowsWith(
  rules: readonly RuleLine[],
  counts: readonly AlertCount[] | undefined,
): readonly RuleRow[] {
  const byRule = new Map((counts ?? []).map((count) => [count.value, count]));
  const silent = counts !== undefined && counts.length < toldMax ? 0 : undefined;
  const rowOf = (name: string): Omit<RuleRow, "rule"> => {
    const count = byRule.get(name);
    return {
      name,
      alerts: count === undefined ? silent : Number(count.count),
      buckets: (count?.buckets ?? []).map(Number),
      last: count?.lastAt,
    };
  };
  const known = new Set(rules.map(({ name }) => name));
  return [
    ...rules.map((rule) => ({ ...rowOf(rule.name), rule })),
    ...[...byRule.keys()].filter((name) => !known.has(name)).map(rowOf),
  ];
}

export type RuleSort = "noise" | "name" | "priority";

export function sortRules(rows: readonly RuleRow[], by: RuleSort): readonly RuleRow[] {
  const byName = (a: RuleRow, b: RuleRow) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const rank = ({ rule }: RuleRow) => {
    const at = priorities.findIndex((word) => word === rule?.priority);
    return at === -1 ? priorities.length : at;
  };
  const first = {
    noise: (a: RuleRow, b: RuleRow) => (b.alerts ?? 0) - (a.alerts ?? 0),
    name: () => 0,
    priority: (a: RuleRow, b: RuleRow) => rank(a) - rank(b),
  }[by];
  return rows.toSorted((a, b) => first(a, b) || byName(a, b));
}

export interface Technique {
  readonly tag: string;
  /** Those of its rules that are enabled. */
  readonly rules: number;
  readonly alerts: number;
}

/** The techniques of ATT&CK that enabled rules look for, by their numbers. */
export function techniquesOf(rows: readonly RuleRow[]): readonly Technique[] {
  const found = new Map<string, Technique>();
  for (const { rule, alerts } of rows) {
    if (rule?.isEnabled !== true) continue;
    for (const tag of rule.tags.filter((each) => /^T\d{4}(\.\d{3})?$/i.test(each))) {
      const before = found.get(tag) ?? { tag, rules: 0, alerts: 0 };
      found.set(tag, { tag, rules: before.rules + 1, alerts: before.alerts + (alerts ?? 0) });
    }
  }
  return [...found.values()].toSorted((a, b) => (a.tag < b.tag ? -1 : 1));
}
