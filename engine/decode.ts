import type { Context } from "./context.ts";
import { LoadProblem } from "./findings.ts";
import { entryOf, type YamlMap, yamlWords } from "./yaml.ts";

/** Ends the loading of the file: its structure is wrong. */
export function refuse(message: string, context: Context): never {
  throw new LoadProblem("LOAD_ERR_YAML_VALIDATE", message, context);
}

/** What a YAML node is asked to be and can not. Falco reports it of the file as a whole. */
export function refuseConversion({ at }: { readonly at: number }, { root }: Context): never {
  const { line, column } = root.source.filePosition(at);
  throw new LoadProblem("LOAD_ERR_VALIDATE", yamlWords("bad conversion", line, column), root);
}

/** A scalar that must be there and hold something. */
export function requiredText(map: YamlMap, key: string, context: Context): string {
  const text = optionalText(map, key, context);
  return text ?? refuse(`Item has no mapping for key '${key}'`, context);
}

/** A scalar that may be missing, but must hold something when it is there. */
export function optionalText(map: YamlMap, key: string, context: Context): string | undefined {
  const node = entryOf(map, key);
  if (node === undefined) return undefined;
  if (node.kind === "scalar" && node.isNull) refuse(`Mapping for key '${key}' is empty`, context);
  const place = context.child("value for", key, node.at);
  if (node.kind !== "scalar") refuse("Value is not a scalar value", place);
  if (node.text === "") refuse("Value must be non-empty", place);
  return node.text;
}

/** A scalar that may be missing, null or empty, all of which give undefined. */
export function optionalWord(map: YamlMap, key: string, context: Context): string | undefined {
  const node = entryOf(map, key);
  if (node?.kind === "scalar" && (node.isNull || node.text === "")) return undefined;
  return optionalText(map, key, context);
}

const yes: ReadonlySet<string> = new Set(["y", "yes", "true", "on"]);
const no: ReadonlySet<string> = new Set(["n", "no", "false", "off"]);

/** A truth value in any of YAML's old spellings, all lower, all upper or capitalised. */
export function optionalFlag(map: YamlMap, key: string, context: Context): boolean | undefined {
  const text = optionalText(map, key, context);
  if (text === undefined) return undefined;
  const lower = text.toLowerCase();
  const isSpelling = text === lower || text === text.toUpperCase() || text.slice(1) === lower.slice(1);
  if (isSpelling && yes.has(lower)) return true;
  if (isSpelling && no.has(lower)) return false;
  return refuse("Can't decode YAML scalar value", valueContext(map, key, context));
}

/** A number from 0 to 2^32 - 1 as C reads it: in hexadecimal after 0x, in octal after 0. */
export function parseCount(text: string): number | undefined {
  if (!/^\+?(?:0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,16}|[1-9][0-9]{0,15})[ \t\n]*$/.test(text)) return undefined;
  const digits = text.replace("+", "").trim();
  const count = /^0[0-7]/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return count <= 0xffff_ffff ? count : undefined;
}

/** A whole number that is not negative. */
export function optionalCount(map: YamlMap, key: string, context: Context): number | undefined {
  const text = optionalText(map, key, context);
  if (text === undefined) return undefined;
  return parseCount(text) ?? refuse("Can't decode YAML scalar value", valueContext(map, key, context));
}

/** A list of scalars that may be missing. */
export function optionalTexts(map: YamlMap, key: string, context: Context): readonly string[] | undefined {
  const node = entryOf(map, key);
  if (node === undefined) return undefined;
  const place = context.child("value for", key, node.at);
  if (node.kind !== "list") return refuse("Value is not a sequence", place);
  return node.items.map((item) => {
    const here = place.child("list item", "", item.at);
    return item.kind === "scalar" && !item.isNull ? item.text : refuse("sequence value is not scalar", here);
  });
}

/** The place of a key's value. */
export function valueContext(
  map: YamlMap,
  key: string,
  context: Context,
  type = "value for",
  name: string = key,
): Context {
  return context.child(type, name, entryOf(map, key)?.at ?? map.at);
}
