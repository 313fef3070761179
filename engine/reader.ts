import type { Collector, Warn } from "./collector.ts";
import { Context } from "./context.ts";
import {
  optionalFlag,
  optionalTexts,
  parseCount,
  refuse,
  refuseConversion,
  requiredText,
  valueContext,
} from "./decode.ts";
import { bothWords, readOverrides } from "./overrides.ts";
import { appendWords, readRule, ruleKeys } from "./rule-reader.ts";
import { parseVersion } from "./semver.ts";
import type { SourceText } from "./source-text.ts";
import { entryOf, type YamlMap, type YamlNode } from "./yaml.ts";

/** Reads the documents of one rules file into the collector. Throws {@link LoadProblem} at the first error. */
export function readRules(
  documents: readonly YamlNode[],
  source: SourceText,
  collector: Collector,
  warn: Warn,
): void {
  const file = Context.file(source);
  for (const document of documents) {
    if (document.kind === "scalar") {
      if (document.isNull) continue;
      refuse("Rules content is not yaml", file);
    }
    if (document.kind === "map") return refuse("Rules content is not yaml array of objects", file);
    for (const item of document.items) readItem(item, collector, warn, file);
  }
}

/** Each reads an item into the collector and gives the place that warnings of unknown keys name. */
const itemKinds = [
  { key: "required_engine_version", keys: ["required_engine_version"], read: readEngineVersion },
  { key: "required_plugin_versions", keys: ["required_plugin_versions"], read: readPluginVersions },
  { key: "list", keys: ["list", "items", "append", "override"], read: readList },
  { key: "macro", keys: ["macro", "condition", "append", "override"], read: readMacro },
  { key: "rule", keys: ruleKeys, read: readRule },
] as const;

function readItem(item: YamlNode, collector: Collector, warn: Warn, file: Context): void {
  if (item.kind === "scalar" && item.isNull) return;
  const context = file.child("rules content item", "", item.at);
  if (item.kind !== "map") {
    refuse("Unexpected element type. Each element should be a yaml associative array.", context);
  }
  const kind = itemKinds.find(({ key }) => entryOf(item, key) !== undefined);
  if (kind === undefined) return warn("LOAD_UNKNOWN_ITEM", "Unknown top level item", context);
  const place = kind.read(item, collector, warn, file);
  for (const { key, at } of item.entries) {
    if (key === undefined) return refuseConversion({ at }, file);
    if (kind.keys.includes(key as never)) continue;
    warn("LOAD_UNKNOWN_KEY", `Unknown key '${key}'. The key will be ignored.`, place);
  }
}

function readEngineVersion(item: YamlMap, collector: Collector, _warn: Warn, file: Context): Context {
  const context = file.child("required_engine_version", "", item.at);
  const text = requiredText(item, "required_engine_version", context);
  // A plain number is the old scheme, in which 62 meant 0.62.0.
  const count = parseCount(text);
  const version = count === undefined ? parseVersion(text) : ([0, count, 0] as const);
  if (version === undefined) {
    const words = `Unable to parse engine version '${text}' as a semver string.`;
    return refuse(`${words} Expected "x.y.z" semver format.`, context);
  }
  collector.requireEngine(version.join("."), context);
  return context;
}

function readPluginVersions(item: YamlMap, collector: Collector, _warn: Warn, file: Context): Context {
  const type = "required plugin versions";
  const node = entryOf(item, "required_plugin_versions");
  const all = file.child(type, "", node?.at ?? item.at);
  if (node?.kind !== "list") return refuse("Value of required_plugin_versions must be a sequence", all);
  for (const entry of node.items) {
    const own = readPlugin(entry, `${type} entry`, "Plugin version must be a mapping", all);
    const others = entry.kind === "map" ? entryOf(entry, "alternatives") : undefined;
    if (others !== undefined && others.kind !== "list") {
      refuse("Value of plugin version alternatives must be a sequence", own.context);
    }
    const alternatives = (others?.kind === "list" ? others.items : []).map((other) =>
      readPlugin(other, `${type} alternative`, "Plugin version alternative must be a mapping", own.context),
    );
    collector.requirePlugin({ ...own, alternatives });
  }
  return file.child(type, "", item.at);
}

function readPlugin(node: YamlNode, type: string, notMap: string, parent: Context) {
  const unnamed = parent.child(type, "", node.at);
  if (node.kind !== "map") return refuse(notMap, unnamed);
  const name = requiredText(node, "name", unnamed);
  const context = parent.child(type, name, node.at);
  return { name, version: requiredText(node, "version", context), context };
}

// Falco's [:space:] are these six, not all that JavaScript knows as white space.
const notInListNames = /[()"' \t\n\v\f\r=,]/;

function readList(item: YamlMap, collector: Collector, warn: Warn, file: Context): Context {
  const name = requiredText(item, "list", file.child("list", "", item.at));
  const context = file.child("list", name, item.at);
  if (notInListNames.test(name)) {
    const words = "List has an invalid name. List names should match a regular expression: ";
    warn("LOAD_INVALID_LIST_NAME", `${words}([^()"'[:space:]=,]+)`, context);
  }
  const items = optionalTexts(item, "items", context);
  if (items === undefined) return refuse("Item has no mapping for key 'items'", context);
  const isAppend = readAppend(item, "items", warn, context);
  const list = { name, items, context };
  const act = isAppend ? "append" : "define";
  collector.say({ kind: "list", name, act, item, source: file.source }, ["items"]);
  if (isAppend) collector.appendList(list);
  else collector.defineList(list);
  return context;
}

function readMacro(item: YamlMap, collector: Collector, warn: Warn, file: Context): Context {
  const name = requiredText(item, "macro", file.child("macro", "", item.at));
  const context = file.child("macro", name, item.at);
  if (!/^[a-zA-Z][a-zA-Z0-9_]*$/.test(name)) {
    const words = "Macro has an invalid name. Macro names should match a regular expression: ";
    warn("LOAD_INVALID_MACRO_NAME", `${words}([a-zA-Z]+[a-zA-Z0-9_]*)`, context);
  }
  const condition = requiredText(item, "condition", context);
  const isAppend = readAppend(item, "condition", warn, context);
  const conditionContext = valueContext(item, "condition", context, "macro condition", "");
  const macro = { name, condition, context, conditionContext, conditionPlace: conditionContext };
  const act = isAppend ? "append" : "define";
  collector.say({ kind: "macro", name, act, item, source: file.source }, ["condition"]);
  if (isAppend) collector.appendMacro(macro);
  else collector.defineMacro(macro);
  return context;
}

/** Whether a list or macro adds to the one before, by the old key or the new one. */
function readAppend(item: YamlMap, key: string, warn: Warn, context: Context): boolean {
  const isAppend = optionalFlag(item, "append", context) ?? false;
  if (isAppend) warn("LOAD_DEPRECATED_ITEM", appendWords, context);
  const { append, replace } = readOverrides(item, [key], [key], context);
  if (isAppend && append.size + replace.size > 0) refuse(bothWords, context);
  return isAppend || append.has(key);
}
