import type { Context } from "./context.ts";
import { refuse, refuseConversion } from "./decode.ts";
import { entryOf, type YamlMap } from "./yaml.ts";

/** Which keys of an item are added to what was there, and which are put in its place. */
export interface Overrides {
  readonly append: ReadonlySet<string>;
  readonly replace: ReadonlySet<string>;
}

export const bothWords =
  "Keys 'override' and 'append: true' cannot be used together. Add an 'append' entry (e.g. 'condition: append') under 'override' instead.";

/** Reads the `override` key of an item; both sets are empty when there is none. */
export function readOverrides(
  item: YamlMap,
  appendable: readonly string[],
  replaceable: readonly string[],
  context: Context,
): Overrides {
  const append = new Set<string>();
  const replace = new Set<string>();
  const node = entryOf(item, "override");
  if (node === undefined || (node.kind === "scalar" && node.isNull)) return { append, replace };
  const place = context.child("overrides", "", item.at);
  if (node.kind !== "map") return refuse("Value of override must be a mapping", place);
  for (const { key, at, value } of node.entries) {
    if (key === undefined) return refuseConversion({ at }, context);
    if (value.kind !== "scalar") return refuseConversion(value, context);
    const operation = value.isNull ? "null" : value.text;
    const here = place.child("overrides", key, at);
    if (operation === "append") {
      if (!appendable.includes(key)) {
        refuse(`Key '${key}' cannot be appended to, use 'replace' instead`, here);
      }
      append.add(key);
    } else if (operation === "replace") {
      if (!replaceable.includes(key)) refuse(`Key '${key}' cannot be replaced`, here);
      replace.add(key);
    } else {
      const allowed = [
        appendable.includes(key) ? "append " : "",
        replaceable.includes(key) ? "replace " : "",
      ].join("");
      const message = `Invalid override operation for key '${key}': '${operation}'. Allowed values are: ${allowed}`;
      refuse(message, place.child("value for", key, value.at));
    }
  }
  return { append, replace };
}
