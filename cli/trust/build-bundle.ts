import { readdirSync, statSync, type Dirent } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import {
  buildBundle,
  buildLayerRelease,
  bundleBytesMax,
  bundleFilesMax,
  layerLevels,
  type BuiltBundle,
  type BuiltLayer,
  type BundleFile,
  type BundleKind,
  type Layer,
  type LayerLevel,
} from "#trust";
import { misused } from "../failure.ts";
import { notUsable, orRefuse, readBounded } from "./files.ts";

export interface BuildOptions {
  readonly org: string;
  readonly kind: BundleKind;
  readonly name: string;
  readonly version: string;
  /** For example ">=0.62.0". */
  readonly engine?: string;
}

export interface BuiltFromFiles extends BuiltBundle {
  /** What lies in the folder and is not in the bundle, so that nobody has to guess. */
  readonly skipped: readonly string[];
}

const wanted: Readonly<Record<BundleKind, RegExp>> = {
  rules: /\.ya?ml$/,
  shipper: /\.(?:ya?ml|conf)$/,
};
const selectorFile = "selector.yaml";
const depthMax = 8;

/**
 * Builds a bundle from a folder. Its files are the rules (*.yaml, *.yml) or shipper configs (also *.conf) in it, in the
 * order of their paths, without `tests/`, hidden files and links; each folder `layers/LEVEL-NAME/` is a layer: its
 * `selector.yaml` (label: value) says where it applies, and its other files are the layer's.
 */
export function buildBundleFromDirectory(dir: string, options: BuildOptions): BuiltFromFiles {
  const skipped: string[] = [];
  const entries = list(dir);
  const files = collect(dir, "", { kind: options.kind, skipped, leaveOut: ["layers", "tests"], depth: 0 });
  const hasLayers = entries.some((entry) => entry.name === "layers" && entry.isDirectory());
  const layers = hasLayers ? readLayers(join(dir, "layers"), options.kind, skipped) : [];
  if (files.length === 0 && layers.length === 0) {
    const kinds = options.kind === "rules" ? "*.yaml" : "*.yaml or *.conf";
    throw misused(`${dir} holds no ${options.kind} files (${kinds})`, "Name the folder that holds them.");
  }
  return { ...buildBundleFromFiles(files, layers, options), skipped };
}

/** Builds a bundle from files in memory. */
export function buildBundleFromFiles(
  files: readonly BundleFile[],
  layers: readonly Layer[],
  { org, kind, name, version, engine }: BuildOptions,
): BuiltBundle {
  const requires = engine === undefined ? {} : { requires: { engine } };
  return orRefuse(buildBundle({ org, kind, name, version, ...requires, files, layers }));
}

/** Builds a release of a layer from a folder of rules files, taken as those of a bundle are. */
export function buildLayerFromDirectory(
  dir: string,
  { org, name, version, engine }: Omit<BuildOptions, "kind">,
): BuiltLayer & { readonly skipped: readonly string[] } {
  const skipped: string[] = [];
  const leaveOut = [selectorFile, "tests"];
  const files = collect(dir, "", { kind: "rules", skipped, leaveOut, depth: 0 });
  if (files.length === 0) {
    throw misused(`${dir} holds no rules files (*.yaml)`, "Name the folder that holds them.");
  }
  const requires = engine === undefined ? {} : { requires: { engine } };
  return { ...orRefuse(buildLayerRelease({ org, name, version, ...requires, files })), skipped };
}

interface Walk {
  readonly kind: BundleKind;
  readonly skipped: string[];
  readonly leaveOut: readonly string[];
  readonly depth: number;
}

function collect(root: string, below: string, walk: Walk): readonly BundleFile[] {
  const folder = join(root, below);
  if (walk.depth > depthMax) throw misused(`${folder} is nested deeper than ${depthMax} folders`);
  const files: BundleFile[] = [];
  for (const entry of list(folder)) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    const full = join(root, path);
    if (walk.depth === 0 && walk.leaveOut.includes(entry.name)) continue;
    if (entry.name.startsWith(".")) walk.skipped.push(full);
    else if (entry.isDirectory()) files.push(...collect(root, path, { ...walk, depth: walk.depth + 1 }));
    else if (entry.isFile() && wanted[walk.kind].test(entry.name)) {
      files.push({ path, content: textOf(full) });
    } else walk.skipped.push(full);
  }
  if (files.length > bundleFilesMax) {
    throw misused(`${root} holds more than ${bundleFilesMax} files; a bundle takes no more`);
  }
  return files;
}

function readLayers(dir: string, kind: BundleKind, skipped: string[]): readonly Layer[] {
  const layers: Layer[] = [];
  for (const entry of list(dir)) {
    const folder = join(dir, entry.name);
    if (!entry.isDirectory()) {
      skipped.push(folder);
      continue;
    }
    const { level, name } = layerNameOf(entry.name, folder);
    const selector = readSelector(join(folder, selectorFile));
    const files = collect(folder, "", { kind, skipped, leaveOut: [selectorFile, "tests"], depth: 0 });
    layers.push({ name, level, selector, files });
  }
  return layers;
}

function layerNameOf(folderName: string, folder: string): { level: LayerLevel; name: string } {
  const level = layerLevels.find((known) => folderName.startsWith(`${known}-`));
  if (level !== undefined) return { level, name: folderName.slice(level.length + 1) };
  throw misused(
    `${folder}: a layer's folder is called LEVEL-NAME, and the levels are ${layerLevels.join(", ")}`,
    'For example "team-payments".',
  );
}

function readSelector(path: string): Layer["selector"] {
  let value: unknown;
  try {
    value = parse(textOf(path), { maxAliasCount: 0, uniqueKeys: true });
  } catch (error) {
    throw notUsable(path, error);
  }
  // Names and values are checked with the bundle.
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Layer["selector"];
  throw misused(
    `${path} does not hold labels`,
    'Write one "label: value" per line, for example "team: payments".',
  );
}

function list(dir: string): readonly Dirent[] {
  try {
    if (!statSync(dir).isDirectory()) throw misused(`${dir} is not a folder`);
    const entries = readdirSync(dir, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw error instanceof Error && "code" in error ? notUsable(dir, error) : error;
  }
}

function textOf(path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readBounded(path, bundleBytesMax));
  } catch (error) {
    throw error instanceof TypeError ? misused(`${path} is not text in UTF-8`) : error;
  }
}
