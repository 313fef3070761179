import type { YamlEntry, YamlMap, YamlNode } from "./yaml.ts";

/** What the schema of rules files says of a file. It never decides whether the file loads. */
export interface SchemaResult {
  /** `none` for a file that could not be read as YAML or is empty. */
  readonly valid: "ok" | "failed" | "none";
  /** What does not fit, each with the way to it, such as `failed for <root>[0][priority]: ...`. */
  readonly warnings: readonly string[];
}

/** At most this many things that do not fit are spelled out. */
const warningsMax = 100;

type Report = (way: string, what: string) => void;
type Shape = (node: YamlNode, way: string, report: Report) => void;

/**
 * Checks documents against the shape that Falco's JSON schema of rules files asks for, which is stricter than the loader:
 * no unknown keys anywhere, priorities in capitals, truth values and counts that are such.
 */
export function checkSchema(documents: readonly YamlNode[]): SchemaResult {
  if (documents.length === 0) return { valid: "none", warnings: [] };
  const warnings: string[] = [];
  let more = 0;
  for (const document of documents) {
    rulesFile(document, "<root>", (way, what) => {
      if (warnings.length < warningsMax) warnings.push(`failed for ${way}: ${what}`);
      else more++;
    });
  }
  if (more > 0) warnings.push(`and ${more} more that do not fit`);
  return { valid: warnings.length === 0 ? "ok" : "failed", warnings };
}

const text: Shape = (node, way, report) => {
  if (node.kind !== "scalar" || node.isNull) report(way, `expected a text, found ${kindOf(node)}`);
};

/** Spellings and numbers are taken as loosely as the loader takes them. */
function scalarLike(pattern: RegExp, what: string): Shape {
  return (node, way, report) => {
    if (node.kind === "scalar" && !node.isNull && pattern.test(node.text)) return;
    report(
      way,
      `expected ${what}, found ${node.kind === "scalar" ? `'${shortened(node.text)}'` : kindOf(node)}`,
    );
  };
}

const flag = scalarLike(/^(?:y|yes|true|on|n|no|false|off)$/i, "true or false");
const count = scalarLike(/^[+-]?[0-9]+$/, "a whole number");
const operation = scalarLike(/^(?:append|replace)$/, "append or replace");
const priority = scalarLike(
  /^(?:EMERGENCY|ALERT|CRITICAL|ERROR|WARNING|NOTICE|INFO|INFORMATIONAL|DEBUG)$/,
  "a priority in capitals, such as WARNING",
);
const anything: Shape = () => undefined;

function listOf(shape: Shape): Shape {
  return (node, way, report) => {
    if (node.kind !== "list") return report(way, `expected a sequence, found ${kindOf(node)}`);
    node.items.forEach((item, i) => shape(item, `${way}[${i}]`, report));
  };
}

function mapOf(keys: Readonly<Record<string, Shape>>, required: readonly string[] = []): Shape {
  const shapes: ReadonlyMap<string, Shape> = new Map(Object.entries(keys));
  return (node, way, report) => {
    if (node.kind !== "map") return report(way, `expected a mapping, found ${kindOf(node)}`);
    for (const entry of node.entries) {
      if (entry.key === undefined) {
        report(way, "expected a text as key");
        continue;
      }
      const shape = shapes.get(entry.key);
      if (shape === undefined) report(way, `the rules schema has no key '${shortened(entry.key)}' here`);
      else shape(entry.value, `${way}[${entry.key}]`, report);
    }
    for (const key of required) {
      if (!has(node, key)) report(way, `key '${key}' is missing`);
    }
  };
}

const plugin = { name: text, version: text };
const overridable =
  "items desc condition output priority enabled exceptions capture capture_duration tags warn_evttypes skip-if-unknown-filter";
const overrides: Shape = (node, way, report) => {
  mapOf(Object.fromEntries(overridable.split(" ").map((key) => [key, operation])))(node, way, report);
  if (node.kind === "map" && node.entries.length === 0) report(way, "expected at least one key");
};

const rulesFile = listOf(
  mapOf({
    required_engine_version: text,
    required_plugin_versions: listOf(
      mapOf({ ...plugin, alternatives: listOf(mapOf(plugin, ["name", "version"])) }, ["name", "version"]),
    ),
    macro: text,
    condition: text,
    list: text,
    items: listOf(text),
    rule: text,
    desc: text,
    enabled: flag,
    output: text,
    append: flag,
    priority,
    capture: flag,
    capture_duration: count,
    source: text,
    exceptions: listOf(mapOf({ name: text, fields: anything, comps: anything, values: anything }, ["name"])),
    override: overrides,
    tags: listOf(text),
    warn_evttypes: flag,
    "skip-if-unknown-filter": flag,
  }),
);

const has = ({ entries }: YamlMap, key: string): boolean =>
  entries.some((entry: YamlEntry) => entry.key === key);

function kindOf(node: YamlNode): string {
  if (node.kind !== "scalar") return node.kind === "map" ? "a mapping" : "a sequence";
  return node.isNull ? "nothing" : `'${shortened(node.text)}'`;
}

const shortened = (words: string): string => (words.length > 64 ? `${words.slice(0, 64)}...` : words);
