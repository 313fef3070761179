import * as fs from "node:fs";
import { crc32 } from "node:zlib";
import { codeOf, writeAllSync } from "./files.ts";

/** Checksum and length of the text that follows. */
const head = /^([0-9a-f]{8}) (\d{1,9})\n/;
const headBytesMax = 20;

/**
 * A short text that is written over and over, synced by nobody. There are two files that take turns, each written in place:
 * a killed process leaves one half written at most, and then the note before it counts. A new file for each note, which is
 * renamed, takes twenty times the processor time, and the thread waits for the file system meanwhile.
 */
export class QuickNote {
  readonly #paths: readonly [string, string];
  readonly #fds: [number | undefined, number | undefined] = [undefined, undefined];
  #turn: 0 | 1 = 0;
  #sequence = 0;

  constructor(path: string) {
    this.#paths = [`${path}-0`, `${path}-1`];
  }

  /** The texts that are whole, the newest in front. */
  load(bytesMax: number): readonly string[] {
    const found = ([0, 1] as const).flatMap((slot) => {
      const note = readNote(this.#paths[slot], bytesMax);
      return note === undefined ? [] : [{ slot, ...note }];
    });
    found.sort((a, b) => b.sequence - a.sequence);
    const [newest] = found;
    if (newest !== undefined) {
      this.#sequence = newest.sequence;
      this.#turn = newest.slot === 0 ? 1 : 0;
    }
    return found.map(({ text }) => text);
  }

  /** Replaces the older note. */
  write(text: string): void {
    const content = Buffer.from(`${++this.#sequence} ${text}`);
    const check = crc32(content).toString(16).padStart(8, "0");
    const slot = this.#turn;
    const fd = (this.#fds[slot] ??= this.#open(slot));
    writeAllSync(fd, [Buffer.from(`${check} ${content.length}\n`), content], 0);
    this.#turn = slot === 0 ? 1 : 0;
  }

  /** No note counts any more. */
  forget(): void {
    for (const slot of [0, 1] as const) fs.ftruncateSync((this.#fds[slot] ??= this.#open(slot)));
  }

  #open(slot: 0 | 1): number {
    return fs.openSync(this.#paths[slot], fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  }

  close(): void {
    for (const slot of [0, 1] as const) {
      const fd = this.#fds[slot];
      if (fd !== undefined) fs.closeSync(fd);
      this.#fds[slot] = undefined;
    }
  }
}

/** Behind a note there may be what is left of a longer one. */
function readNote(
  path: string,
  bytesMax: number,
): { readonly sequence: number; readonly text: string } | undefined {
  try {
    if (fs.statSync(path).size > bytesMax) return undefined;
    const bytes = fs.readFileSync(path);
    const found = head.exec(bytes.toString("latin1", 0, headBytesMax));
    if (found === null) return undefined;
    const [start, length] = [found[0].length, Number(found[2])];
    const content = bytes.subarray(start, start + length);
    if (content.length !== length || crc32(content) !== Number.parseInt(found[1] ?? "", 16)) return undefined;
    const space = content.indexOf(0x20);
    return {
      sequence: Number(content.toString("latin1", 0, space)),
      text: content.toString("utf8", space + 1),
    };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
