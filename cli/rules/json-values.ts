/**
 * Takes a text apart into the JSON values that stand in it one after another, on one line or many, with or without commas
 * between them. Undefined when a value does not end or something else stands between; what is inside is not checked.
 */
export function splitJsonValues(text: string): readonly string[] | undefined {
  const values: string[] = [];
  let at = 0;
  for (;;) {
    at = skipBetween(text, at);
    if (at === text.length) return values;
    const end = endOfGroup(text, at);
    if (end < 0) return undefined;
    values.push(text.slice(at, end));
    at = end;
  }
}

/** The elements of a JSON array as they are written; undefined for anything else. */
export function splitJsonArray(text: string): readonly string[] | undefined {
  const trimmed = text.trim();
  if (!trimmed.startsWith("[") || !trimmed.endsWith("]")) return undefined;
  return splitJsonValues(trimmed.slice(1, -1));
}

function skipBetween(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\r\n,".includes(text.charAt(at))) at++;
  return at;
}

const structure = /["{}[\]]/g;

/** Where the object or array that starts here ends; -1 when it does not, or when neither starts here. */
function endOfGroup(text: string, start: number): number {
  const first = text.charAt(start);
  if (first !== "{" && first !== "[") return -1;
  let depth = 0;
  structure.lastIndex = start;
  for (let found = structure.exec(text); found !== null; found = structure.exec(text)) {
    const [mark] = found;
    if (mark === '"') {
      const end = endOfString(text, found.index);
      if (end < 0) return -1;
      structure.lastIndex = end;
    } else {
      depth += mark === "{" || mark === "[" ? 1 : -1;
      if (depth === 0) return found.index + 1;
    }
  }
  return -1;
}

function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charAt(at - 1 - slashes) === "\\") slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  return -1;
}
