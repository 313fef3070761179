/** One step into a record: by key, by index, or into all there is. */
export type PathStep =
  | { readonly kind: "key"; readonly name: string }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "any" };

/** Where a field lies. The first step is a top-level key. */
export type FieldPath = readonly PathStep[];

const stepsMax = 32;
const step = /^\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\d{1,6})|(\*))\]/s;

/**
 * Reads Fluent Bit's record accessor, `$key['inner'][0]`, or undefined when it is none. Without `$` the whole text is a
 * top-level key, dots included. `[*]`, for all members or elements, is ours, and only some options take it.
 */
export function parseFieldPath(text: string): FieldPath | undefined {
  if (text === "" || text === "$") return undefined;
  if (!text.startsWith("$")) return [{ kind: "key", name: text }];
  const bracket = text.indexOf("[");
  const name = bracket === -1 ? text.slice(1) : text.slice(1, bracket);
  if (name === "") return undefined;
  const path: PathStep[] = [{ kind: "key", name }];
  let rest = bracket === -1 ? "" : text.slice(bracket);
  while (rest !== "") {
    const found = step.exec(rest);
    if (found === null || path.length >= stepsMax) return undefined;
    path.push(stepOf(found));
    rest = rest.slice(found[0].length);
  }
  return path;
}

function stepOf(found: RegExpExecArray): PathStep {
  const [, single, double, index, any] = found;
  if (any !== undefined) return { kind: "any" };
  if (index !== undefined) return { kind: "index", index: Number(index) };
  return { kind: "key", name: (single ?? double ?? "").replaceAll(/\\(.)/gs, "$1") };
}

/** Reads `requestObject.data.*`: keys with dots between, `*` for all members or elements; or a record accessor. */
export function parseDottedPath(text: string): FieldPath | undefined {
  if (text.startsWith("$")) return parseFieldPath(text);
  const parts = text.split(".");
  if (parts.includes("") || parts.length > stepsMax || parts[0] === "*") return undefined;
  return parts.map((name) => (name === "*" ? { kind: "any" } : { kind: "key", name }));
}
