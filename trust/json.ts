import { accept, quote, reasonOf, refuse, type Checked } from "./checked.ts";

/** What JSON can hold, read-only. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export interface JsonLimits {
  /** Named in refusals, for example "root metadata". */
  readonly what: string;
  readonly bytesMax: number;
  readonly depthMax: number;
}

const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const quotationMark = 0x22;
const backslash = 0x5c;

/**
 * Reads foreign JSON: size and depth are checked on the bytes, before anything is allocated for them; the text must be
 * UTF-8 without a byte order mark, and no object may carry a `__proto__` key.
 */
export function readJson(bytes: Uint8Array, limits: JsonLimits): Checked<Json> {
  const { what, bytesMax, depthMax } = limits;
  if (bytes.length > bytesMax) {
    return refuse("trust/too-large", `${what} has ${bytes.length} bytes; at most ${bytesMax} are accepted`);
  }
  if (depthOf(bytes) > depthMax) {
    return refuse("trust/malformed", `${what} is nested deeper than ${depthMax} levels`);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = JSON.parse(text) as Json;
    // The only key that JSON.parse and an object spread disagree about.
    if (hasProtoKey(value)) return refuse("trust/malformed", `${what} has a key "__proto__"`);
    return accept(value);
  } catch (error) {
    return refuse("trust/malformed", `${what} is not JSON in UTF-8: ${reasonOf(error)}`);
  }
}

function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  let escaped = false;
  // By index: bundles are large, and an iterator takes three times as long.
  for (let i = 0; i !== bytes.length; i++) {
    const byte = bytes[i];
    if (escaped) escaped = false;
    else if (inString) {
      if (byte === backslash) escaped = true;
      else if (byte === quotationMark) inString = false;
    } else if (byte === quotationMark) inString = true;
    else if (byte === openBrace || byte === openBracket) deepest = Math.max(deepest, ++depth);
    else if (byte === closeBrace || byte === closeBracket) depth--;
  }
  return deepest;
}

function hasProtoKey(value: Json): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([name, item]) => name === "__proto__" || hasProtoKey(item));
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isList(value: unknown): value is readonly Json[] {
  return Array.isArray(value);
}

/** A number without a fraction, within both bounds, that no reader rounds. */
export function isWholeNumber(
  value: unknown,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}

/** A member of an object; undefined where it is missing, inherited by every object, or where there is no object. */
export function memberOf(value: Json | undefined, key: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** A foreign value in a message: short, printable, and nothing of what lists and objects hold. */
export function showJson(value: Json | undefined): string {
  if (value === undefined) return "missing";
  if (typeof value === "object" && value !== null) return "not text";
  return typeof value === "string" ? quote(value) : String(value);
}

/** Keys of `value` that are not in `known`. */
export function unknownKeys(value: JsonObject, known: readonly string[]): readonly string[] {
  return Object.keys(value).filter((key) => !known.includes(key));
}

/**
 * One text per value: keys in code-unit order, no white space, whole numbers only, strings as JSON writes them. The form
 * in which bundles and metadata are stored.
 *
 * @throws TypeError on a fraction or anything that is not JSON: our own data never holds such.
 */
export function canonicalJson(value: Json): string {
  return canonical(value, JSON.stringify);
}

/**
 * The canonical form that TUF signs: as above, but strings escape only the quotation mark and the backslash.
 *
 * @throws TypeError also on half a surrogate pair: as bytes it would be the same as U+FFFD, and one signature would hold for
 * two texts.
 */
export function signedForm(value: Json): string {
  return canonical(value, (text) => {
    if (!text.isWellFormed()) throw new TypeError("half a surrogate pair has no canonical form");
    return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  });
}

function canonical(value: Json, string: (text: string) => string): string {
  if (typeof value === "string") return string(value);
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new TypeError(`${value} has no canonical form`);
    return String(value);
  }
  if (isList(value)) return `[${value.map((item) => canonical(item, string)).join(",")}]`;
  const members = Object.keys(value)
    .sort()
    .flatMap((key) => {
      const item = value[key];
      if (item === undefined) return []; // As JSON.stringify does.
      return `${string(key)}:${canonical(item, string)}`;
    });
  return `{${members.join(",")}}`;
}
