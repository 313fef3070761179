import { BundleKind } from "#proto/fleet/v1/common";

export function kindText(kind: BundleKind | undefined): string {
  if (kind === BundleKind.RULES) return "rules";
  if (kind === BundleKind.SHIPPER) return "shipper";
  return kind === BundleKind.LAYER ? "layer" : "unknown";
}

/** A file of a bundle, with the layer that it is of: LEVEL/NAME; empty for the base. */
export interface BundleFile {
  readonly layer: string;
  readonly path: string;
  readonly content: string;
}

const filesMax = 500;

/**
 * The files of a bundle's bytes, which are one JSON document (decision 0002). Whatever is not of that shape is left out:
 * the server and the agents judge bundles, this only shows them.
 */
export function filesOf(bytes: Uint8Array): readonly BundleFile[] {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return [];
  }
  const base = filesIn(document, "");
  const layers = listIn(document, "layers").flatMap((layer) =>
    filesIn(layer, [textIn(layer, "level"), textIn(layer, "name")].filter((part) => part !== "").join("/")),
  );
  return [...base, ...layers].slice(0, filesMax);
}

function filesIn(from: unknown, layer: string): readonly BundleFile[] {
  return listIn(from, "files").flatMap((file) => {
    const [path, content] = [textIn(file, "path"), textIn(file, "content")];
    return path === "" ? [] : [{ layer, path, content }];
  });
}

function listIn(from: unknown, field: string): readonly unknown[] {
  const value = fieldOf(from, field);
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

function textIn(from: unknown, field: string): string {
  const value = fieldOf(from, field);
  return typeof value === "string" ? value : "";
}

function fieldOf(from: unknown, field: string): unknown {
  const isObject = typeof from === "object" && from !== null && Object.hasOwn(from, field);
  return isObject ? (from as Readonly<Record<string, unknown>>)[field] : undefined;
}

/** A line of a comparison. */
export interface DiffLine {
  readonly kind: "same" | "added" | "removed";
  readonly text: string;
}

/** So many cells of the table that finds what is common: 4 million take some 50 ms and 16 MB. */
const cellsMax = 4_000_000;

/**
 * How one text became another, line by line, with the fewest lines changed. Texts that differ in too many lines to be compared
 * like that are shown as all removed and all added.
 */
export function diffLines(before: string, after: string): readonly DiffLine[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA -= 1;
    endB -= 1;
  }
  return [
    ...lines("same", a.slice(0, start)),
    ...middle(a.slice(start, endA), b.slice(start, endB)),
    ...lines("same", a.slice(endA)),
  ];
}

function lines(kind: DiffLine["kind"], texts: readonly string[]): readonly DiffLine[] {
  return texts.map((text) => ({ kind, text }));
}

function middle(a: readonly string[], b: readonly string[]): readonly DiffLine[] {
  const width = b.length + 1;
  if ((a.length + 1) * width > cellsMax) return [...lines("removed", a), ...lines("added", b)];
  // common[i * width + j]: how many lines the rest of a from i and the rest of b from j have in common.
  const common = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const found: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found.push({ kind: "same", text: a[i] ?? "" });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      found.push({ kind: "removed", text: a[i] ?? "" });
      i += 1;
    } else {
      found.push({ kind: "added", text: b[j] ?? "" });
      j += 1;
    }
  }
  return found;
}

const contextLines = 3;

/** What changed with a few lines around it; a gap stands for what is the same. */
export function hunks(diff: readonly DiffLine[]): readonly (DiffLine | "gap")[] {
  const isNear = diff.map(() => false);
  diff.forEach(({ kind }, at) => {
    if (kind === "same") return;
    isNear.fill(true, Math.max(0, at - contextLines), at + contextLines + 1);
  });
  const found: (DiffLine | "gap")[] = [];
  diff.forEach((line, at) => {
    if (isNear[at] === true) found.push(line);
    else if (found.at(-1) !== "gap") found.push("gap");
  });
  return found;
}
