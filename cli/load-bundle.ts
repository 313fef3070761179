import { readFile, stat } from "node:fs/promises";
import {
  type Bundle,
  bundleBytesMax,
  type BuiltBundle,
  type BuiltLayer,
  describeBundle,
  describeLayer,
  layerOfRole,
  type LayerRelease,
  parseBundle,
  parseLayerRelease,
} from "#trust";
import { misused, refused } from "./failure.ts";

/** Reads a bundle's bytes. Throws a failure that names where they came from when they are none. */
export function bundleFrom(bytes: Uint8Array, from: string): Bundle {
  const parsed = parseBundle(bytes);
  if (parsed.ok) return parsed.value;
  throw refused(`${from}: ${parsed.refusal.message} (${parsed.refusal.code})`);
}

/** Reads the bytes of a layer's release. Throws a failure that names where they came from when they are none. */
export function layerFrom(bytes: Uint8Array, from: string): LayerRelease {
  const parsed = parseLayerRelease(bytes);
  if (parsed.ok) return parsed.value;
  throw refused(`${from}: ${parsed.refusal.message} (${parsed.refusal.code})`);
}

/** Files that bundle build wrote, apart by what signs for them. */
export interface BuiltFiles {
  readonly bundles: readonly BuiltBundle[];
  readonly layers: readonly BuiltLayer[];
}

/** Reads files that bundle build wrote. */
export async function readBuilt(paths: readonly string[]): Promise<BuiltFiles> {
  const bundles: BuiltBundle[] = [];
  const layers: BuiltLayer[] = [];
  for (const path of paths) {
    const bytes = await readFileBounded(path, bundleBytesMax);
    if (isLayer(bytes)) layers.push(describeLayer(layerFrom(bytes, path), bytes));
    else bundles.push(describeBundle(bundleFrom(bytes, path), bytes));
  }
  return { bundles, layers };
}

/** Whether a file says that it is the release of a layer. What it says besides is checked by whoever reads it. */
function isLayer(bytes: Uint8Array): boolean {
  try {
    const json = JSON.parse(Buffer.from(bytes).toString("utf8")) as { readonly kind?: unknown } | null;
    return json?.kind === "layer";
  } catch {
    return false;
  }
}

/** Whether a path is a folder; false when there is nothing. */
export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Whether there is a file of this name. */
export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Reads a file of a bounded size. Throws a failure that names it. */
export async function readFileBounded(path: string, bytesMax: number): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) throw misused(`${path} has ${size} bytes; at most ${bytesMax} are read`);
    return await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    throw misused(`${path} cannot be read (${code})`, "Check the path.");
  }
}

/** The layer that a command is about, by its flag or its files; undefined when it is about bundles. Throws for a mix. */
export function layerOfFiles(
  bundles: readonly BuiltBundle[],
  layers: readonly BuiltLayer[],
  flag: string | undefined,
): string | undefined {
  const names = new Set([
    ...layers.map(({ release }) => release.name),
    ...(flag === undefined ? [] : [flag]),
  ]);
  const [name] = names;
  if (name !== undefined && layerOfRole(`layer-${name}`) === undefined) {
    throw misused(`"${name.slice(0, 80)}" is no name of a layer`, "--layer payments");
  }
  if (names.size > 1) {
    throw misused(
      `Each layer has a list of its own, and these are ${[...names].join(", ")}`,
      "One at a time.",
    );
  }
  if (name === undefined || bundles.length === 0) return name;
  throw misused(
    "Bundles and releases of a layer are signed with different keys",
    "First the ones, then the others.",
  );
}
