import type { Warn } from "./collector.ts";
import type { Context } from "./context.ts";
import { refuse, requiredText } from "./decode.ts";
import type { ExceptionDefinition, ExceptionPart } from "./definitions.ts";
import { entryOf, type YamlMap, type YamlNode } from "./yaml.ts";

/** Reads the exceptions of a rule's item. Only an exception that is appended may leave out its fields. */
export function readExceptions(
  item: YamlMap,
  isAppend: boolean,
  warn: Warn,
  parent: Context,
): readonly ExceptionDefinition[] {
  const node = entryOf(item, "exceptions");
  if (node === undefined || (node.kind === "scalar" && node.isNull)) return [];
  const all = parent.child("exceptions", "", node.at);
  if (node.kind !== "list") return refuse("Rule exceptions must be a sequence", all);
  const counts = new Map<string, number>();
  return node.items.map((one) => {
    const unnamed = all.child("exception", "", one.at);
    if (one.kind !== "map") return refuse("Rule exception must be a mapping", unnamed);
    const name = requiredText(one, "name", unnamed);
    const context = parent.child("exception", name, one.at);
    const before = counts.get(name) ?? 0;
    counts.set(name, before + 1);
    if (before > 0) {
      const message = `Multiple definitions of exception '${name}' in the same rule`;
      warn("LOAD_EXCEPTION_NAME_NOT_UNIQUE", message, context);
    }
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
  const fields = readPart(map, "fields", context);
  if (fields === undefined && !isAppend) refuse("Item has no mapping for key 'fields'", context);
  const comps = readPart(map, "comps", context);
  const own = { name, fields: somethingOf(fields), comps: somethingOf(comps), context };
  const values = entryOf(map, "values");
  if (values === undefined) {
    if (isAppend) warn("LOAD_APPEND_NO_VALUES", "Overriding/appending exception with no values", context);
    return { ...own, values: [] };
  }
  const place = context.child("exception values", "", values.at);
  if (values.kind !== "list") return refuse("Rule exception values must be a sequence", place);
  const parts = values.items.map((value) => partOf(value, "", place.child("exception value", "", value.at)));
  return { ...own, values: parts };
}

function readPart(map: YamlMap, key: string, context: Context): ExceptionPart | undefined {
  const node = entryOf(map, key);
  return node === undefined ? undefined : partOf(node, key, context);
}

/** What is neither a text nor a list counts as an empty text. */
function partOf(node: YamlNode, name: string, parent: Context): ExceptionPart {
  const context = parent.child("value for", name, node.at);
  if (node.kind === "list") {
    const items = node.items.map((item) => partOf(item, "", context.child("exception", "", item.at)));
    return { kind: "list", items };
  }
  if (node.kind === "map" || node.isNull) return { kind: "text", text: "" };
  if (node.text === "") return refuse("Value must be non-empty", context);
  return { kind: "text", text: node.text };
}

function somethingOf(part: ExceptionPart | undefined): ExceptionPart | undefined {
  const isEmpty = part?.kind === "list" ? part.items.length === 0 : part?.text === "";
  return isEmpty ? undefined : part;
}
