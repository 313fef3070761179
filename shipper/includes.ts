import { globMatches } from "./match.ts";

/** Which files an include names, by their place among the names, or why it names none. */
export type Included =
  | { readonly ok: true; readonly files: readonly number[] }
  | { readonly ok: false; readonly why: string };

/**
 * Finds what a file includes among the files of its bundle, and nowhere else: beside the file first, then from the top, as
 * in Fluent Bit. `*` stands for a part of a name, never for a folder. A layer and the base include only their own files,
 * because they do not apply to the same clusters.
 */
export function resolveInclude(path: string, from: string, names: readonly string[]): Included {
  const shown = path.length > 200 ? `${path.slice(0, 200)}...` : path;
  if (path.includes("${")) {
    return { ok: false, why: `"${shown}" has a variable in it: name the file itself, as in Fluent Bit` };
  }
  const own = layerOf(from);
  const folder = from.slice(0, from.lastIndexOf("/") + 1);
  for (const wanted of [cleaned(`${folder}${path}`), cleaned(path)]) {
    if (wanted === undefined || (path.startsWith("/") && wanted !== cleaned(path))) continue;
    const files = [...names.keys()].filter((index) => {
      const name = cleaned(names[index] ?? "");
      if (name === undefined || layerOf(name) !== own) return false;
      // A file that a star of its own would name is not meant.
      return pathMatches(wanted, name) && !(wanted.includes("*") && names[index] === from);
    });
    if (files.length > 0) return { ok: true, files };
  }
  const others = names.filter((name) => name !== from).slice(0, 10);
  const known = others.length === 0 ? "there are no others" : `there are ${others.join(", ")}`;
  return {
    ok: false,
    why: `"${shown}" is no file of this bundle: only its own files can be included, and ${known}`,
  };
}

/** `layers/team-payments/`, or nothing for a base file. */
function layerOf(name: string): string {
  return /^layers\/[^/]+\//.exec(name)?.[0] ?? "";
}

function pathMatches(pattern: string, path: string): boolean {
  const [wanted, found] = [pattern.split("/"), path.split("/")];
  return wanted.length === found.length && wanted.every((part, at) => globMatches(part, found[at] ?? ""));
}

/** A path without `.` and `..`; undefined when it leads out. */
function cleaned(path: string): string | undefined {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "." || part === "") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return `${path.startsWith("/") ? "/" : ""}${parts.join("/")}`;
}
