import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";

/** What a report carries of it at most, in bytes. */
export const tailBytesMax = 3_000;
const fileBytesMax = 64 * 1024;

/**
 * The last lines that the pipeline had to say while a bundle is on trial, on disk, so that they are there when the whole
 * agent was killed. Holds what operators are told anyway, never a record or an alert.
 */
export interface LogTail {
  add(line: string): void;
  /** The newest whole lines that fit into a report. */
  read(): string;
  /** A new trial begins. */
  clear(): void;
}

export function openLogTail(path: string): LogTail {
  const read = (): string => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      // It explains a failure and decides nothing: without it there is less to show.
      return "";
    }
  };
  const write = (work: () => void): void => {
    try {
      work();
    } catch {
      // A full disk is told as a condition by whoever needs the disk.
    }
  };
  return {
    add(line) {
      const text = `${new Date().toISOString()} ${line.replaceAll(/\s*\n\s*/g, " | ").slice(0, 1_000)}\n`;
      write(() => {
        const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
        if (size < fileBytesMax) appendFileSync(path, text, { mode: 0o600 });
        else writeFileSync(path, `${lastLines(read(), fileBytesMax / 2)}${text}`, { mode: 0o600 });
      });
    },
    read: () => lastLines(read(), tailBytesMax).trimEnd(),
    clear: () => write(() => writeFileSync(path, "", { mode: 0o600 })),
  };
}

function lastLines(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  const end = bytes.subarray(bytes.length - bytesMax);
  return end.subarray(end.indexOf(0x0a) + 1).toString();
}
