import { statfs } from "node:fs/promises";
import type { Conditions } from "./conditions.ts";

/** Below this neither a checkpoint nor a report of what runs can be relied on to fit. */
const freeBytesMin = 64 * 1024;

/** A full disk under the state directory is a condition for as long as it lasts. Never throws. */
export async function noteDiskSpace(dir: string, conditions: Conditions): Promise<void> {
  let freeBytes: number;
  try {
    const { bavail, bsize } = await statfs(dir);
    freeBytes = bavail * bsize;
  } catch {
    // The directory itself is away; whoever writes to it says so.
    return;
  }
  if (freeBytes >= freeBytesMin) return conditions.clear("disk/full");
  conditions.raise(
    "disk/full",
    `The disk of ${dir} is full: what runs goes on, but positions and bundles cannot be saved. ` +
      "Free space there; work goes on by itself",
  );
}
