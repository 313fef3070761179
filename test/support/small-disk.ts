import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";

/** Whether this process may mount a small disk; ordinary users may not. */
export const mayMount: boolean = process.getuid?.() === 0;

/** Mounts an empty disk of its own over a folder, which is made. Throws the words of `mount`. */
export function mountSmallDisk(dir: string, size: string): void {
  fs.mkdirSync(dir, { recursive: true });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", dir]);
  if (mounted.status !== 0) throw new Error(`cannot mount a small disk: ${mounted.stderr.toString()}`);
}

/** Takes the disk away, also while somebody holds files of it open. */
export function unmount(dir: string): void {
  spawnSync("umount", ["-l", dir]);
}

/** Fills the disk of a folder to its last byte with a file, and gives what removes that. */
export function fillDisk(dir: string): () => void {
  const path = join(dir, "neighbour");
  const fd = fs.openSync(path, "w");
  const block = Buffer.alloc(4096);
  try {
    for (;;) fs.writeSync(fd, block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    fs.closeSync(fd);
  }
  return () => fs.rmSync(path);
}
