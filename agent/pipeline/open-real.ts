import * as fs from "node:fs";

const flags = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW;

/**
 * Opens a file to read it when its real path may be read. Judged twice: before anything is opened, and again by what was
 * opened, because somebody may change a folder into a link in between.
 */
export function openReal(path: string, mayRead: (path: string) => boolean): number {
  const real = fs.realpathSync(path);
  if (!mayRead(real)) throw new Error(`the agent's allow-list does not allow ${real}`);
  const fd = fs.openSync(real, flags);
  try {
    const opened = whatIsOpen(fd);
    if (opened !== undefined && !mayRead(opened)) {
      throw new Error(`the agent's allow-list does not allow ${opened}`);
    }
    if (!fs.fstatSync(fd).isFile()) throw new Error("it is no file");
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** The path of an open file as the kernel knows it; undefined where there is no /proc, or for one that was removed. */
function whatIsOpen(fd: number): string | undefined {
  try {
    const path = fs.readlinkSync(`/proc/self/fd/${fd}`);
    return path.endsWith(" (deleted)") ? undefined : path;
  } catch {
    // Not Linux: what was judged before opening counts.
    return undefined;
  }
}

/** Outputs, queues and connections must never lack one because files took them all. */
const descriptorsKept = 128;

/** How many descriptors inputs may take, by the limit of this process. */
export function descriptorsForFiles(): number {
  try {
    const limits = fs.readFileSync("/proc/self/limits", "utf8");
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? 4096 : Math.max(16, Number(soft) - descriptorsKept);
  } catch {
    // Not Linux: the system's answer to one too many is reported when it comes.
    return 4096;
  }
}
