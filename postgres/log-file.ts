import { closeSync, existsSync, openSync, readSync, renameSync, statSync } from "node:fs";

const bytesMax = 16 * 1024 * 1024;
const excerptBytesMax = 16 * 1024;

/** Keeps at most one older log beside the current one. Called while nothing writes to it. */
export function keepLogSmall(path: string): void {
  if (existsSync(path) && statSync(path).size > bytesMax) renameSync(path, `${path}.1`);
}

/** Returns a function that reads what was written to the log since now, at most its last 16 KiB. */
export function openLog(path: string): () => string {
  const from = existsSync(path) ? statSync(path).size : 0;
  return () => {
    if (!existsSync(path)) return "";
    const end = statSync(path).size;
    const start = Math.max(from, end - excerptBytesMax);
    const excerpt = Buffer.alloc(Math.max(0, end - start));
    const file = openSync(path, "r");
    const length = readSync(file, excerpt, 0, excerpt.length, start);
    closeSync(file);
    return excerpt.toString("utf8", 0, length);
  };
}
