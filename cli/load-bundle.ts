import { readFile, stat } from "node:fs/promises";
import { type Bundle, bundleBytesMax, type BuiltBundle, describeBundle, parseBundle } from "#trust";
import { misused, refused } from "./failure.ts";

/** Reads a bundle's bytes. Throws a failure that names where they came from when they are none. */
export function bundleFrom(bytes: Uint8Array, from: string): Bundle {
  const parsed = parseBundle(bytes);
  if (parsed.ok) return parsed.value;
  throw refused(`${from}: ${parsed.refusal.message} (${parsed.refusal.code})`);
}

/** Reads files that bundle build wrote. */
export async function readBuiltBundles(paths: readonly string[]): Promise<BuiltBundle[]> {
  const bundles: BuiltBundle[] = [];
  for (const path of paths) {
    const bytes = await readFileBounded(path, bundleBytesMax);
    bundles.push(describeBundle(bundleFrom(bytes, path), bytes));
  }
  return bundles;
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
