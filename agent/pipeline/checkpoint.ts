import * as fs from "node:fs";
import { codeOf, replaceFile } from "./files.ts";
import { isMark } from "./mark.ts";
import type { Mark } from "./mark.ts";
import { QuickNote } from "./quick-note.ts";

const bytesMax = 64 * 1024 * 1024;

/**
 * Where reading goes on. There are two notes of it. The checkpoint is written after everything it covers was synced, so
 * it holds after power loss; that takes time. The quick note is written after every few turns and synced by nobody: it
 * holds as long as the machine does not restart, which it knows by the boot id, and keeps what comes twice after kill -9
 * to a few turns.
 */
export class CheckpointFile {
  /** Whether there was a checkpoint that could not be read: everything is read from the beginning, nothing is lost. */
  isDamaged = false;
  readonly #path: string;
  readonly #onProblem: (message: string) => void;
  readonly #bootId: string | undefined = readBootId();
  readonly #quick: QuickNote;

  constructor(path: string, onProblem: (message: string) => void) {
    this.#path = path;
    this.#quick = new QuickNote(`${path}.quick`);
    this.#onProblem = onProblem;
  }

  load(): readonly Mark[] {
    const quick = this.#bootId === undefined ? undefined : this.#loadQuick(this.#bootId);
    if (quick !== undefined) return quick;
    try {
      return read(this.#path).marks;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return [];
      if (!(error instanceof SyntaxError)) throw error;
      this.isDamaged = true;
      fs.renameSync(this.#path, `${this.#path}.damaged`);
      const kept = `kept as ${this.#path}.damaged, files are read again`;
      this.#onProblem(`Checkpoint ${this.#path} is damaged (${error.message}): ${kept}`);
      return [];
    }
  }

  /** Replaces the checkpoint; it is the old or the new one, whatever happens. */
  async save(marks: readonly Mark[]): Promise<void> {
    await replaceFile(this.#path, `${JSON.stringify({ format: 1, marks })}\n`);
  }

  /** Writes the quick note and says how long it is. What it covers has to be written, but need not be synced. */
  note(marks: readonly Mark[]): number {
    if (this.#bootId === undefined) return 0;
    const text = JSON.stringify({ format: 1, bootId: this.#bootId, marks });
    this.#quick.write(text);
    return text.length;
  }

  /** No quick note counts until there is another one: the checkpoint does. */
  forgetNotes(): void {
    if (this.#bootId !== undefined) this.#quick.forget();
  }

  close(): void {
    this.#quick.close();
  }

  #loadQuick(bootId: string): readonly Mark[] | undefined {
    for (const text of this.#quick.load(bytesMax)) {
      try {
        const note = parse(text);
        if (note.bootId === bootId) return note.marks;
      } catch (error) {
        // Without a note the checkpoint holds, which is never ahead of it.
        if (!(error instanceof SyntaxError)) throw error;
      }
    }
    return undefined;
  }
}

function read(path: string): { readonly bootId: unknown; readonly marks: readonly Mark[] } {
  if (fs.statSync(path).size > bytesMax) throw new SyntaxError("it is too long");
  return parse(fs.readFileSync(path, "utf8"));
}

function parse(text: string): { readonly bootId: unknown; readonly marks: readonly Mark[] } {
  const value = JSON.parse(text) as {
    format?: unknown;
    bootId?: unknown;
    marks?: unknown;
  };
  if (value.format === 1 && Array.isArray(value.marks) && value.marks.every(isMark)) {
    return { bootId: value.bootId, marks: value.marks };
  }
  throw new SyntaxError("its content is not a list of positions");
}

function readBootId(): string | undefined {
  try {
    return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Not Linux, or no /proc: only the checkpoint counts.
    return undefined;
  }
}
