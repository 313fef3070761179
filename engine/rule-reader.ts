import type { Collector, Warn } from "./collector.ts";
import {
  optionalCount,
  optionalFlag,
  optionalText,
  optionalTexts,
  refuse,
  requiredText,
  valueContext,
} from "./decode.ts";
import type { ExceptionDefinition, ExceptionPart, RuleChange } from "./definitions.ts";
import { type Context, LoadProblem } from "./findings.ts";
import { bothWords, type Overrides, readOverrides } from "./overrides.ts";
import { parsePriority, type Priority } from "./ruleset.ts";
import { entryOf, type YamlMap, type YamlNode } from "./yaml.ts";

export const appendWords =
  "'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under 'override' instead.";
const enabledWords =
  "The standalone 'enabled' key usage is deprecated. The correct approach requires also a 'replace' entry under the 'override' key (i.e. 'enabled: replace').";

const appendable = ["condition", "output", "desc", "tags", "exceptions"] as const;
const replaceable = [
  ...appendable,
  "priority",
  "capture",
  "capture_duration",
  "enabled",
  "warn_evttypes",
  "skip-if-unknown-filter",
] as const;

/** Keys a rule may have. */
export const ruleKeys: readonly string[] = ["rule", "source", "append", "override", ...replaceable];

/** Reads an item that starts with `rule` and hands it to the collector. */
export function readRule(item: YamlMap, collector: Collector, warn: Warn, parent: Context): void {
  const name = requiredText(item, "rule", parent.child("rule", "", item.at));
  const context = parent.child("rule", name, item.at);
  const isAppend = optionalFlag(item, "append", context) ?? false;
  if (isAppend) warn("LOAD_DEPRECATED_ITEM", appendWords, context);
  const overrides = readOverrides(item, appendable, replaceable, context);
  const hasOverrides = overrides.append.size + overrides.replace.size > 0;
  if (isAppend && hasOverrides) refuse(bothWords, context);
  warnOfCapture(item, warn, context);
  if (hasOverrides) return readChanges(item, name, overrides, collector, warn, context);
  if (isAppend) return readAppended(item, name, collector, warn, context);
  if (["condition", "output", "desc", "priority"].every((key) => entryOf(item, key) === undefined)) {
    const enabled = optionalFlag(item, "enabled", context);
    if (enabled === undefined) return refuse("Item has no mapping for key 'enabled'", context);
    warn("LOAD_DEPRECATED_ITEM", enabledWords, context);
    return collector.enableRule(name, enabled, context);
  }
  return readDefinition(item, name, collector, warn, context);
}

function readDefinition(
  item: YamlMap,
  name: string,
  collector: Collector,
  warn: Warn,
  context: Context,
): void {
  const condition = requiredText(item, "condition", context);
  const output = requiredText(item, "output", context).trim();
  const desc = requiredText(item, "desc", context);
  const priority = readPriority(item, context);
  collector.defineRule(
    {
      name,
      condition,
      output,
      desc,
      priority,
      source: optionalText(item, "source", context) ?? "syscall",
      enabled: optionalFlag(item, "enabled", context) ?? true,
      skipIfUnknownFilter: optionalFlag(item, "skip-if-unknown-filter", context) ?? false,
      warnEvttypes: optionalFlag(item, "warn_evttypes", context) ?? true,
      tags: sortedTags(item, context) ?? [],
      exceptions: readExceptions(item, false, warn, context),
      context,
      conditionContext: valueContext(item, "condition", context, "rule condition", ""),
      outputContext: valueContext(item, "output", context, "rule output", ""),
    },
    warn,
  );
}

function readAppended(item: YamlMap, name: string, collector: Collector, warn: Warn, context: Context): void {
  const has = (key: string): boolean => entryOf(item, key) !== undefined;
  if (!has("condition") && !has("exceptions")) {
    throw new LoadProblem(
      "LOAD_ERR_VALIDATE",
      "Appended rule must have exceptions or condition property",
      context,
    );
  }
  const parts = ["condition", "exceptions"].filter(has).map((key) => changedPart(item, key, warn, context));
  collector.appendRule(Object.assign({ name, context, ...sourceOf(item, context) }, ...parts) as RuleChange);
}

function readChanges(
  item: YamlMap,
  name: string,
  { append, replace }: Overrides,
  collector: Collector,
  warn: Warn,
  context: Context,
): void {
  const covered = new Set<string>();
  const changeOf = (kind: "append" | "replace", keys: ReadonlySet<string>): RuleChange => {
    const parts = [...keys].map((key) => {
      if (covered.has(key) || entryOf(item, key) === undefined) {
        refuse(`An ${kind} override for '${key}' was specified but '${key}' is not defined`, context);
      }
      covered.add(key);
      return changedPart(item, key, warn, context);
    });
    const change: RuleChange = { name, context, ...sourceOf(item, context) };
    return Object.assign(change, ...parts) as RuleChange;
  };
  if (append.size > 0) collector.appendRule(changeOf("append", append));
  if (replace.size > 0) collector.replaceInRule(changeOf("replace", replace));
  const stray = replaceable.find((key) => entryOf(item, key) !== undefined && !covered.has(key));
  if (stray !== undefined) {
    const place = valueContext(item, stray, context, "overrides", stray);
    refuse(`Unexpected key '${stray}': no corresponding entry under 'override' is defined.`, place);
  }
}

function sourceOf(item: YamlMap, context: Context): { readonly source?: string } {
  const source = optionalText(item, "source", context);
  return source === undefined ? {} : { source };
}

function changedPart(item: YamlMap, key: string, warn: Warn, context: Context): Partial<RuleChange> {
  switch (key) {
    case "condition":
      return {
        condition: requiredText(item, key, context),
        conditionContext: valueContext(item, key, context, "rule condition", ""),
      };
    case "output":
      return {
        output: requiredText(item, key, context).trim(),
        outputContext: valueContext(item, key, context, "rule output", ""),
      };
    case "desc":
      return { desc: requiredText(item, key, context) };
    case "priority":
      return { priority: readPriority(item, context) };
    case "tags":
      return { tags: sortedTags(item, context) ?? [] };
    case "exceptions":
      return { exceptions: readExceptions(item, true, warn, context) };
    case "enabled":
      return { enabled: optionalFlag(item, key, context) ?? true };
    case "warn_evttypes":
      return { warnEvttypes: optionalFlag(item, key, context) ?? true };
    case "skip-if-unknown-filter":
      return { skipIfUnknownFilter: optionalFlag(item, key, context) ?? false };
    default:
      return {};
  }
}

/** Captures record system calls, which audit events are not. */
function warnOfCapture(item: YamlMap, warn: Warn, context: Context): void {
  optionalCount(item, "capture_duration", context);
  if (optionalFlag(item, "capture", context) !== true) return;
  warn("LOAD_WARNING_EXTENSION", "Key 'capture' has no effect: this engine records no captures", context);
}

function readPriority(item: YamlMap, context: Context): Priority {
  const text = requiredText(item, "priority", context);
  const place = valueContext(item, "priority", context, "rule priority", "");
  return parsePriority(text) ?? refuse("Invalid priority", place);
}

function sortedTags(item: YamlMap, context: Context): readonly string[] | undefined {
  const tags = optionalTexts(item, "tags", context);
  return tags === undefined ? undefined : [...new Set(tags)].sort();
}

function readExceptions(
  item: YamlMap,
  isAppend: boolean,
  warn: Warn,
  parent: Context,
): readonly ExceptionDefinition[] {
  const node = entryOf(item, "exceptions");
  if (node === undefined || (node.kind === "scalar" && node.isNull)) return [];
  const all = parent.child("exceptions", "", node.at);
  if (node.kind !== "list") return refuse("Rule exceptions must be a sequence", all);
  const names = new Set<string>();
  return node.items.map((one) => {
    const unnamed = all.child("exception", "", one.at);
    if (one.kind !== "map") return refuse("Rule exception must be a mapping", unnamed);
    const name = requiredText(one, "name", unnamed);
    const context = parent.child("exception", name, one.at);
    if (names.has(name)) {
      warn("LOAD_EXCEPTION_NAME_NOT_UNIQUE", `Multiple definitions of exception '${name}'`, context);
    }
    names.add(name);
    return readException(one, name, isAppend, warn, context);
  });
}

function readException(
  map: YamlMap,
  name: string,
  isAppend: boolean,
  warn: Warn,
  context: Context,
): ExceptionDefinition {
  const fields = optionalPart(map, "fields", context);
  if (fields === undefined && !isAppend) refuse("Item has no mapping for key 'fields'", context);
  const comps = optionalPart(map, "comps", context);
  const values = entryOf(map, "values");
  if (values === undefined) {
    if (isAppend) warn("LOAD_APPEND_NO_VALUES", "Overriding/appending exception with no values", context);
    return { name, fields, comps, values: [], context };
  }
  const place = context.child("exception values", "", values.at);
  if (values.kind !== "list") return refuse("Rule exception values must be a sequence", place);
  const parts = values.items.map((value) => partOf(value, place.child("exception value", "", value.at)));
  return { name, fields, comps, values: parts, context };
}

function optionalPart(map: YamlMap, key: string, context: Context): ExceptionPart | undefined {
  const node = entryOf(map, key);
  return node === undefined ? undefined : partOf(node, context.child("value for", key, node.at));
}

function partOf(node: YamlNode, context: Context): ExceptionPart {
  if (node.kind === "list") {
    return {
      kind: "list",
      items: node.items.map((item) => partOf(item, context.child("exception", "", item.at))),
    };
  }
  if (node.kind === "map") return refuse("Value is neither a string nor a sequence", context);
  if (node.text === "" || node.isNull) return refuse("Value must be non-empty", context);
  return { kind: "text", text: node.text };
}
