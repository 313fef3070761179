import * as fs from "node:fs";
import { codeOf } from "./files.ts";

/** The first entry that is not delivered: all before it in its segment, and all segments before, are. */
export interface QueuePosition {
  readonly segment: number;
  readonly sequence: number;
}

/** So that a shorter note covers all of a longer one. */
const noteBytes = 80;

/**
 * How far a queue was delivered, as a file. It is written in place, for each delivery, and synced by nobody: losing it costs
 * duplicates only.
 */
export class QueuePositionFile {
  readonly #path: string;
  #fd: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Undefined when there is none, or when it is torn. */
  load(): QueuePosition | undefined {
    try {
      const saved = JSON.parse(fs.readFileSync(this.#path, "utf8")) as Partial<QueuePosition>;
      const { segment, sequence } = saved;
      return Number.isSafeInteger(segment) && Number.isSafeInteger(sequence)
        ? (saved as QueuePosition)
        : undefined;
    } catch (error) {
      if (codeOf(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  save(position: QueuePosition): void {
    this.#fd ??= fs.openSync(this.#path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    fs.writeSync(this.#fd, `${JSON.stringify(position).padEnd(noteBytes - 1)}\n`, 0);
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
  }
}
