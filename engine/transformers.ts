import type { FieldType, FieldValue, Scalar } from "./fields/field.ts";
import { findOptions } from "./getopt.ts";
import { asciiLower, asciiUpper } from "./glob.ts";
import { untilNul } from "./json/text.ts";
import { decodeUtf8, utf8Length } from "./utf8.ts";

/** What is known about an argument or a result before any event. */
export interface Shape {
  readonly type: FieldType;
  readonly isList: boolean;
  readonly text: string;
  readonly isLiteral: boolean;
}

export type ShapeOutcome =
  | { readonly ok: true; readonly type: FieldType; readonly isList: boolean }
  | { readonly ok: false; readonly message: string };

interface Transformer {
  readonly shape: (args: readonly Shape[]) => ShapeOutcome;
  readonly apply: (args: readonly FieldValue[]) => FieldValue;
}

const refuse = (message: string): ShapeOutcome => ({ ok: false, message });

/** A function from text to text, which works element by element on a list. */
function textual(name: string, change: (text: string) => string | undefined): [string, Transformer] {
  return [
    name,
    {
      shape: ([only, ...more]) => {
        if (only === undefined || more.length > 0) return refuse(`transformer '${name}' takes one argument`);
        if (only.type !== "CHARBUF") return unsupported(name, only);
        return { ok: true, type: "CHARBUF", isList: only.isList };
      },
      apply: ([value]) => {
        if (typeof value === "string") return change(value);
        if (!Array.isArray(value)) return undefined;
        const changed = value.map((item) => (typeof item === "string" ? change(item) : undefined));
        return changed.some((item) => item === undefined) ? undefined : (changed as string[]);
      },
    },
  ];
}

function unsupported(name: string, { text, type, isList }: Shape): ShapeOutcome {
  return refuse(`transformer '${name}' does not take '${text}' of type '${typeText(type, isList)}'`);
}

/** The name of a type in messages. */
export function typeText(type: FieldType, isList: boolean): string {
  return isList ? `${type} (list)` : type;
}

const len: Transformer = {
  shape: ([only, ...more]) => {
    if (only === undefined || more.length > 0) return refuse("transformer 'len' takes one argument");
    if (!only.isList && only.type !== "CHARBUF") return unsupported("len", only);
    return { ok: true, type: "UINT64", isList: false };
  },
  apply: ([value]) => {
    if (value === undefined) return undefined;
    return BigInt(Array.isArray(value) ? value.length : utf8Length(String(value)));
  },
};

const join: Transformer = {
  shape: ([separator, items, ...more]) => {
    if (separator === undefined || items === undefined || more.length > 0) {
      return refuse("transformer 'join' takes a separator and a list");
    }
    if (separator.isList || separator.type !== "CHARBUF") return unsupported("join", separator);
    if (!items.isList || items.type !== "CHARBUF") return unsupported("join", items);
    return { ok: true, type: "CHARBUF", isList: false };
  },
  apply: ([separator, items]) =>
    typeof separator === "string" && Array.isArray(items) ? items.map(String).join(separator) : undefined,
};

const concat: Transformer = {
  shape: (args) => {
    if (args.length < 2) return refuse("transformer 'concat' takes at least two arguments");
    const wrong = args.find(({ isList, type }) => isList || type !== "CHARBUF");
    return wrong === undefined ? { ok: true, type: "CHARBUF", isList: false } : unsupported("concat", wrong);
  },
  apply: (args) => (args.some((arg) => arg === undefined) ? undefined : args.map(String).join("")),
};

/** Finds options among arguments; with an option in brackets, only that one's value. */
function getopt(selector?: string): Transformer {
  return {
    shape: ([args, options, ...more]) => {
      if (args === undefined || options === undefined || more.length > 0) {
        return refuse("transformer 'getopt' takes a list of arguments and the text of options");
      }
      if (!args.isList || args.type !== "CHARBUF") return unsupported("getopt", args);
      if (options.isList || options.type !== "CHARBUF") return unsupported("getopt", options);
      if (selector !== undefined && utf8Length(selector) !== 1) {
        return refuse(`transformer 'getopt' takes one option letter in brackets, not '${selector}'`);
      }
      return { ok: true, type: "CHARBUF", isList: selector === undefined };
    },
    apply: ([args, options]) => findOptions(args, options, selector),
  };
}

const table: ReadonlyMap<string, Transformer> = new Map([
  textual("tolower", asciiLower),
  textual("toupper", asciiUpper),
  textual("basename", (text) => text.slice(text.lastIndexOf("/") + 1)),
  textual("b64", decodeBase64),
  [
    "val",
    {
      shape: ([only]) => ({ ok: true, type: only?.type ?? "CHARBUF", isList: only?.isList ?? false }),
      apply: ([value]) => value,
    },
  ],
  ["len", len],
  ["join", join],
  ["concat", concat],
  ["getopt", getopt()],
]);

/** The transformer of a name and of its argument in brackets; undefined when it does not exist or takes none. */
export function findTransformer(name: string, argument?: string): Transformer | undefined {
  if (argument === undefined) return table.get(name);
  return name === "getopt" ? getopt(argument) : undefined;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Decodes base64, with or without the padding that belongs there; undefined when the text is none. Bits that belong to no
 * byte must be zero, so that two texts never decode to the same bytes.
 */
function decodeBase64(text: string): string | undefined {
  const body = text.replace(/={1,2}$/, "");
  if (body.length % 4 === 1 || (body === "" && text !== "")) return undefined;
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const char of body) {
    const value = alphabet.indexOf(char);
    if (value < 0) return undefined;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
  }
  return (held & ((1 << bits) - 1)) === 0 ? untilNul(decodeUtf8(bytes)) : undefined;
}

/** Elements of a value, whatever its shape. */
export function valuesOf(value: FieldValue): readonly Scalar[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value as Scalar];
}
