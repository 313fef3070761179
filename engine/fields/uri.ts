import { decodeUtf8 } from "../utf8.ts";

/**
 * The first value of a query parameter. Undefined when it is absent, and also when any part of the URI is
 * malformed: a half-understood query must not decide.
 */
export function queryValue(uri: string, key: string): string | undefined {
  if (!uri.includes(key) && !hasEscapedName(uri)) return undefined;
  if (uri !== lastUri) [lastUri, lastParameters] = [uri, parametersOf(uri)];
  return lastParameters?.get(key);
}

let lastUri = "";
let lastParameters: ReadonlyMap<string, string> | undefined;

/** The first value of each parameter. Rules ask for one after the other of the same URI, which is taken apart once. */
function parametersOf(uri: string): ReadonlyMap<string, string> | undefined {
  const query = queryOf(uri);
  if (query === undefined) return undefined;
  const found = new Map<string, string>();
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    if (pair.includes(";")) return undefined;
    const equals = pair.indexOf("=");
    const name = unescapePart(equals < 0 ? pair : pair.slice(0, equals), true);
    const value = unescapePart(equals < 0 ? "" : pair.slice(equals + 1), true);
    if (name === undefined || value === undefined) return undefined;
    if (!found.has(name)) found.set(name, value);
  }
  return found;
}

const [ampersand, equals, percent, plus] = [0x26, 0x3d, 0x25, 0x2b];

/** Whether a name in the query may spell something else than what is written: most keys that rules ask for are not there. */
function hasEscapedName(uri: string): boolean {
  let isName = true;
  for (let at = uri.indexOf("?") + 1; at > 0 && at < uri.length; at++) {
    const char = uri.charCodeAt(at);
    if (char === ampersand) isName = true;
    else if (char === equals) isName = false;
    else if (isName && (char === percent || char === plus)) return true;
  }
  return false;
}

// What makes a URI malformed may be any of these.
// oxlint-disable-next-line eslint/no-control-regex
const control = /[\u0000-\u001f\u007f]/;
const scheme = /^[a-zA-Z][a-zA-Z0-9+.-]*:/;
/** A name or address, perhaps after a user and before a port. */
const authority = /^(?:[a-zA-Z0-9._:~!$&'()*+,;=%-]*@)?(?:\[[^\]]*\]|[^\0- #/?@\\^`{|}%:[\]]*)(?::[0-9]*)?$/;

/** What stands behind the question mark of a URI that makes sense. */
function queryOf(uri: string): string | undefined {
  const hash = uri.indexOf("#");
  const text = hash < 0 ? uri : uri.slice(0, hash);
  if (control.test(text) || (hash >= 0 && unescapePart(uri.slice(hash + 1), false) === undefined)) {
    return undefined;
  }
  const named = scheme.exec(text)?.[0] ?? "";
  const mark = text.indexOf("?", named.length);
  if (mark < 0) return undefined;
  const path = text.slice(named.length, mark);
  const query = text.slice(mark + 1);
  if (!path.startsWith("/")) {
    if (named !== "") return query;
    const [segment = ""] = path.split("/", 1);
    return segment.includes(":") || !isEscapedWell(path) ? undefined : query;
  }
  const isHosted = path.startsWith("//") && (named !== "" || !path.startsWith("///"));
  const end = isHosted ? path.indexOf("/", 2) : 0;
  if (isHosted && !authority.test(end < 0 ? path.slice(2) : path.slice(2, end))) return undefined;
  return isEscapedWell(end < 0 ? "" : path.slice(end)) ? query : undefined;
}

const isEscapedWell = (text: string): boolean => unescapePart(text, false) !== undefined;

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
