import type { RuleSet } from "#engine";
import { Document, isScalar, isSeq, visit } from "yaml";
import type { Proposal } from "./noise.ts";

type Value = string | readonly string[];

interface Entry {
  readonly name: string;
  readonly fields?: readonly string[];
  readonly comps?: readonly string[];
  readonly values: readonly (readonly Value[])[];
}

/**
 * Writes proposals as a rules file that adds exceptions to rules which were loaded before it. Where a rule already has an
 * exception for the same fields, as `ruleset` tells, the values are added to that one.
 */
export function renderOverrideFile(proposals: readonly Proposal[], ruleset: RuleSet | undefined): string {
  const rules = [...Map.groupBy(proposals, ({ rule }) => rule)];
  const items = rules.map(([rule, of]) => {
    const alerts = of.reduce((sum, one) => sum + one.alerts, 0);
    const item = {
      rule,
      exceptions: entriesOf(rule, of, ruleset),
      override: { exceptions: "append" },
    };
    return `# Excuses ${alerts} ${alerts === 1 ? "alert" : "alerts"} that were looked at.\n${yamlOf(item)}`;
  });
  return [header, ...items].join("\n");
}

/** Each list of fields and each tuple of values on a line of its own, as people write them. */
function yamlOf(item: unknown): string {
  const document = new Document([item]);
  visit(document, {
    Pair(_, { key, value }) {
      if (!isScalar(key) || !isSeq(value)) return;
      if (key.value === "fields" || key.value === "comps") value.flow = true;
      if (key.value === "values") for (const tuple of value.items) if (isSeq(tuple)) tuple.flow = true;
    },
    Scalar(_, scalar) {
      // In a flow sequence the reader of Falco takes a question mark for one of YAML, wherever it stands.
      if (typeof scalar.value === "string" && /[?]|^[:-]/.test(scalar.value)) scalar.type = "QUOTE_DOUBLE";
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

const header = `# Proposed by fleetctl rules tune. Read every entry as an attacker would before it goes out.
# Load this file after the rules that it changes.
`;

function entriesOf(
  rule: string,
  proposals: readonly Proposal[],
  ruleset: RuleSet | undefined,
): readonly Entry[] {
  const existing = ruleset?.rules.find(({ name }) => name === rule)?.exceptions ?? [];
  const names = new Set(existing.map(({ name }) => name));
  const shapes = Map.groupBy(proposals, ({ fields, comps }) => JSON.stringify([fields, comps]));
  return [...shapes.values()].map((same): Entry => {
    const { fields = [], comps = [] } = same[0] ?? {};
    const values = same.map((one) => one.values.map(asSyntax));
    const shape = JSON.stringify([fields, comps]);
    const known = existing.find((one) => JSON.stringify([one.fields, one.comps]) === shape);
    // A single field in an exception may stand for a list of values rather than of tuples.
    const isTuples = known?.values.every((value) => typeof value !== "string") ?? false;
    if (known !== undefined && isTuples) return { name: known.name, values };
    const name = freeName(`tuned_${fields.map(slug).join("_")}`, names);
    names.add(name);
    return { name, fields, comps, values };
  });
}

/** Values become text of a condition: what means something there has to stand in quotes. */
function asSyntax(value: Value): Value {
  if (typeof value !== "string") return value.map((one) => asSyntax(one) as string);
  return /[\s()=,]/.test(value) ? `"${value}"` : value;
}

function slug(field: string): string {
  return field.replace(/^ka\./, "").replaceAll(/[^A-Za-z0-9]+/g, "_");
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted;
  for (let number = 2; taken.has(name); number++) name = `${wanted}_${number}`;
  return name;
}
