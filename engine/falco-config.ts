import type { AlertFormat } from "./alert.ts";
import type { AppendOutput } from "./append-output.ts";
import { type ConfigMap, ConfigReader } from "./config-reader.ts";
import type { DetectorOptions } from "./detector.ts";
import { errorFinding, LoadProblem } from "./findings.ts";
import { SourceText } from "./source-text.ts";
import type { LoadOptions } from "./load.ts";
import { parsePriority, priorities } from "./ruleset.ts";
import type { RuleSwitch } from "./switches.ts";
import { parseYaml, type YamlNode } from "./yaml.ts";

/** What a configuration file says about rules and alerts. What it leaves out is left out here. */
export interface EngineConfig {
  readonly load: Pick<
    LoadOptions,
    "compat" | "minimumPriority" | "switches" | "appendOutput" | "staticFields"
  >;
  readonly detector: Pick<DetectorOptions, "compat" | "ruleMatching" | "envelope" | "format">;
}

/** A key that means nothing to this engine, and where it stands, lines counted from 1. */
export interface IgnoredKey {
  readonly key: string;
  readonly line: number;
}

export type ParsedEngineConfig =
  | { readonly ok: true; readonly config: EngineConfig; readonly ignored: readonly IgnoredKey[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** The keys of Falco's configuration file that this engine follows, and `falconry` for what Falco has no key for. */
export const engineConfigKeys: readonly string[] = [
  "append_output",
  "falconry",
  "json_include_message_property",
  "json_include_output_fields_property",
  "json_include_output_property",
  "json_include_tags_property",
  "priority",
  "rule_matching",
  "rules",
  "static_fields",
  "time_format_iso_8601",
];

const envelopes = ["auto", "none", "eks", "gke", "aks"] as const;

/**
 * Reads the part of a `falco.yaml` that is about rules and alerts. `variables` are put in the place of `${NAME}`, as Falco
 * does with its environment; one that is not there gives an empty text. Every problem is told at once, with its place.
 */
export function parseEngineConfig(
  name: string,
  content: string,
  variables: Readonly<Record<string, string | undefined>> = {},
): ParsedEngineConfig {
  const source = new SourceText(name, content);
  let documents: readonly YamlNode[];
  try {
    documents = parseYaml(source, false);
  } catch (error) {
    if (!(error instanceof LoadProblem)) throw error;
    const { place } = errorFinding(error).shown;
    return { ok: false, problems: [`${name}:${place.line + 1}: ${error.message}`] };
  }
  const reader = new ConfigReader(source, variables);
  const [root, more] = documents;
  if (more !== undefined) reader.refuse(more.at, "there is a second document: keep one");
  const isEmpty = root === undefined || (root.kind === "scalar" && root.isNull);
  const map = isEmpty ? reader.empty() : reader.map(root, "the configuration");
  const config = readConfig(reader, map);
  const problems = reader.problems();
  if (problems.length > 0) return { ok: false, problems };
  const ignored = map.keys
    .filter(({ key }) => !engineConfigKeys.includes(key))
    .map(({ key, at }) => ({ key, line: source.position(at).line + 1 }));
  return { ok: true, config, ignored };
}

function readConfig(reader: ConfigReader, map: ConfigMap): EngineConfig {
  const own = reader.map(map.get("falconry"), "falconry");
  reader.onlyKeys(own, "falconry", ["compat", "envelope"]);
  const compat = reader.choice(own.get("compat"), "falconry.compat", ["fixed", "strict"]);
  const load = {
    compat,
    minimumPriority: readPriority(reader, map.get("priority")),
    switches: reader.list(map.get("rules"), "rules")?.flatMap((node, i) => readSwitch(reader, node, i)),
    appendOutput: reader
      .list(map.get("append_output"), "append_output")
      ?.map((node, i) => readAppended(reader, node, `append_output[${i}]`)),
    staticFields: readStatics(reader, map.get("static_fields")),
  };
  const detector = {
    compat,
    ruleMatching: reader.choice(map.get("rule_matching"), "rule_matching", ["first", "all"]),
    envelope: reader.choice(own.get("envelope"), "falconry.envelope", envelopes),
    format: readFormat(reader, map),
  };
  return { load: given(load), detector: given(detector) };
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The same without the members that are undefined, which would hide defaults. */
function given<T extends object>(members: T): Given<T> {
  return Object.fromEntries(Object.entries(members).filter(([, one]) => one !== undefined)) as Given<T>;
}

function readPriority(reader: ConfigReader, node: YamlNode | undefined): string | undefined {
  const text = reader.text(node, "priority");
  if (node === undefined || text === undefined) return undefined;
  const priority = parsePriority(text);
  if (priority === undefined) {
    reader.refuse(node.at, `priority: "${text}" is none; give one of ${priorities.join(", ")}`);
  }
  return priority;
}

function readFormat(reader: ConfigReader, map: ConfigMap): AlertFormat | undefined {
  const flag = (key: string): boolean | undefined => reader.flag(map.get(key), key);
  const format = given({
    timeFormatIso8601: flag("time_format_iso_8601"),
    jsonIncludeOutput: flag("json_include_output_property"),
    jsonIncludeMessage: flag("json_include_message_property"),
    jsonIncludeOutputFields: flag("json_include_output_fields_property"),
    jsonIncludeTags: flag("json_include_tags_property"),
  });
  return Object.keys(format).length === 0 ? undefined : format;
}

/** `{enable: {rule: "...", tag: "..."}}`; several in one item count in the order in which they stand. */
function readSwitch(reader: ConfigReader, node: YamlNode, index: number): readonly RuleSwitch[] {
  const place = `rules[${index}]`;
  const item = reader.map(node, place);
  reader.onlyKeys(item, place, ["enable", "disable"]);
  return item.keys.flatMap(({ key }) => {
    if (key !== "enable" && key !== "disable") return [];
    const meant = reader.map(item.get(key), `${place}.${key}`);
    reader.onlyKeys(meant, `${place}.${key}`, ["rule", "tag"]);
    const chosen = given({
      rule: reader.text(meant.get("rule"), `${place}.${key}.rule`),
      tag: reader.text(meant.get("tag"), `${place}.${key}.tag`),
    });
    return Object.keys(chosen).length === 0 ? [] : [{ action: key, ...chosen }];
  });
}

function readAppended(reader: ConfigReader, node: YamlNode, place: string): AppendOutput {
  const item = reader.map(node, place);
  reader.onlyKeys(item, place, ["match", "extra_output", "extra_fields", "suggested_output"]);
  const match = reader.map(item.get("match"), `${place}.match`);
  reader.onlyKeys(match, `${place}.match`, ["rule", "source", "tags"]);
  const fields = reader.list(item.get("extra_fields"), `${place}.extra_fields`);
  return given({
    match: given({
      rule: reader.text(match.get("rule"), `${place}.match.rule`),
      source: reader.text(match.get("source"), `${place}.match.source`),
      tags: reader
        .list(match.get("tags"), `${place}.match.tags`)
        ?.flatMap((tag, i) => reader.text(tag, `${place}.match.tags[${i}]`) ?? []),
    }),
    extraOutput: reader.text(item.get("extra_output"), `${place}.extra_output`),
    extraFields: fields?.flatMap((field, i) => readField(reader, field, `${place}.extra_fields[${i}]`)),
    suggestedOutput: reader.flag(item.get("suggested_output"), `${place}.suggested_output`),
  });
}

function readField(
  reader: ConfigReader,
  node: YamlNode,
  place: string,
): readonly (string | Readonly<Record<string, string>>)[] {
  return node.kind === "map" ? [reader.texts(node, place)] : [reader.text(node, place) ?? []].flat();
}

function readStatics(
  reader: ConfigReader,
  node: YamlNode | undefined,
): Readonly<Record<string, string>> | undefined {
  if (node === undefined) return undefined;
  for (const { key, at } of reader.map(node, "static_fields").keys) {
    if (/^[A-Za-z0-9_]+$/.test(key)) continue;
    const words = `static_fields: "${key}" is no name that rules can read; use letters, digits and _`;
    reader.refuse(at, words);
  }
  return reader.texts(node, "static_fields");
}
