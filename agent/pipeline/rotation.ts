import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import type { RotationConfig } from "#shipper";

/** Whether a file has to be put aside before more bytes are written to it. An empty file never is. */
export function isRotationDue(
  { bytesMax, intervalMs }: RotationConfig,
  file: { readonly size: number; readonly mtimeMs: number },
  moreBytes: number,
  nowMs: number,
): boolean {
  if (file.size === 0) return false;
  if (bytesMax !== undefined && file.size + moreBytes > bytesMax) return true;
  return intervalMs !== undefined && Math.floor(nowMs / intervalMs) > Math.floor(file.mtimeMs / intervalMs);
}

/** A name that no file has: the file's own, and the time of the rotation, so that names sort by age. */
export function rotatedPath(path: string, nowMs: number): string {
  for (let ms = Math.floor(nowMs); ; ms++) {
    const found = `${path}.${new Date(ms).toISOString().replaceAll(/[-:.]/g, "")}`;
    if (!fs.existsSync(found) && !fs.existsSync(`${found}.gz`)) return found;
  }
}

/** The rotated files of a file, the oldest first. Of one that is there with and without `.gz`, the compressed one counts. */
export function listRotated(directory: string, name: string): string[] {
  const all = fs.readdirSync(directory).filter((one) => one.startsWith(`${name}.`));
  const rotated = all.filter((one) => /^\d{8}T\d{9}Z(\.gz)?$/.test(one.slice(name.length + 1)));
  const packed = new Set(rotated.filter((one) => one.endsWith(".gz")));
  for (const one of rotated) {
    // Compressed files get their name when they are whole and synced: the other one is left of a crash right after.
    if (packed.has(`${one}.gz`)) fs.rmSync(join(directory, one), { force: true });
  }
  return rotated
    .filter((one) => !packed.has(`${one}.gz`))
    .sort()
    .map((one) => join(directory, one));
}

/** Where a compressed file is written until it is whole. */
export function unfinishedPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.gz.part`);
}
