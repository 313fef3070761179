import * as fs from "node:fs";
import { dirname } from "node:path";

/** Writes all of it or throws; a short write is continued. Without a position it goes where the file stands. */
export function writeAllSync(fd: number, buffers: readonly Uint8Array[], position?: number): void {
  let rest = buffers.filter((buffer) => buffer.length > 0);
  let at = position;
  while (rest.length > 0) {
    // IOV_MAX is 1024 on Linux.
    let written = fs.writevSync(fd, rest.slice(0, 1000), at);
    if (at !== undefined) at += written;
    while (rest[0] !== undefined && written >= rest[0].length) {
      written -= rest[0].length;
      rest = rest.slice(1);
    }
    if (rest[0] !== undefined && written > 0) rest = [rest[0].subarray(written), ...rest.slice(1)];
  }
}

/** Replaces a file so that a reader finds the old or the new content, also after power loss. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await fs.promises.open(temporary, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await fs.promises.rename(temporary, path);
  await syncFolder(dirname(path));
}

/** Makes the names in a folder durable: a new file's content alone is not enough after power loss. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await fs.promises.open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** fdatasync without blocking the thread. */
export function syncData(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** The words of an error, for messages. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
