import * as fs from "node:fs";
import { dirname, join } from "node:path";

const bytesMax = 64 * 1024 * 1024;

/** What a file holds; undefined when there is none. Throws when it cannot be read. */
export function readOwn(path: string): string | undefined {
  try {
    if (fs.statSync(path).size > bytesMax) throw new Error(`${path} is larger than ${bytesMax} bytes`);
    return fs.readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes a file beside where it is to be, durably. Nobody takes its name for one of the program's files. */
export function stageFile(path: string, text: string, mode: number): string {
  const staged = join(dirname(path), `.${process.pid}.falconry-next`);
  const fd = fs.openSync(staged, "w", mode);
  try {
    fs.writeFileSync(fd, text);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  return staged;
}

/** Puts a staged file in place by one rename: whoever opens the name reads the old text or the new one. */
export function putInPlace(staged: string, path: string): void {
  fs.renameSync(staged, path);
  const fd = fs.openSync(dirname(path), "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Puts a text in place; without one, the file goes. */
export function putText(path: string, text: string | undefined, mode: number): void {
  if (text === undefined) fs.rmSync(path, { force: true });
  else putInPlace(stageFile(path, text, mode), path);
}

const tailBytes = 3_000;

/** What a program wrote to its log since a size that it had before; the end of it, when that is long. */
export function logSince(path: string | undefined, size: number): string {
  if (path === undefined) return "";
  try {
    const now = sizeOf(path);
    const from = Math.max(now < size ? 0 : size, now - tailBytes);
    const fd = fs.openSync(path, "r");
    try {
      const bytes = Buffer.alloc(now - from);
      return bytes
        .subarray(0, fs.readSync(fd, bytes, 0, bytes.length, from))
        .toString()
        .trim();
    } finally {
      fs.closeSync(fd);
    }
  } catch {
    // It explains a failure and decides nothing: without it there is less to show.
    return "";
  }
}

export function sizeOf(path: string | undefined): number {
  return path === undefined ? 0 : (fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0);
}
