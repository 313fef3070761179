import { decodeUtf8 } from "../utf8.ts";

/**
 * The first value of a query parameter. Undefined when it is absent, and also when any part of the query is
 * malformed: a half-understood query must not decide.
 */
export function queryValue(uri: string, key: string): string | undefined {
  const hash = uri.indexOf("#");
  const text = hash < 0 ? uri : uri.slice(0, hash);
  const mark = text.indexOf("?");
  if (mark < 0 || unescapePart(text.slice(0, mark), false) === undefined) return undefined;
  let found: string | undefined;
  for (const pair of text.slice(mark + 1).split("&")) {
    if (pair === "") continue;
    if (pair.includes(";")) return undefined;
    const equals = pair.indexOf("=");
    const name = unescapePart(equals < 0 ? pair : pair.slice(0, equals), true);
    const value = unescapePart(equals < 0 ? "" : pair.slice(equals + 1), true);
    if (name === undefined || value === undefined) return undefined;
    if (name === key) found ??= value;
  }
  return found;
}

function unescapePart(text: string, isQuery: boolean): string | undefined {
  const plain = isQuery ? text.replaceAll("+", " ") : text;
  if (!plain.includes("%")) return plain;
  let out = "";
  let bytes: number[] = [];
  for (let i = 0; i < plain.length; i++) {
    if (plain.charAt(i) !== "%") {
      if (bytes.length > 0) out += decodeUtf8(bytes);
      bytes = [];
      out += plain.charAt(i);
      continue;
    }
    const hex = plain.slice(i + 1, i + 3);
    if (!/^[0-9a-fA-F]{2}$/.test(hex)) return undefined;
    bytes.push(Number.parseInt(hex, 16));
    i += 2;
  }
  return bytes.length > 0 ? out + decodeUtf8(bytes) : out;
}
