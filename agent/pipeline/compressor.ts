import * as fs from "node:fs";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { codeOf, reasonOf, syncFolder } from "./files.ts";
import { unfinishedPath } from "./rotation.ts";

/** The fast end of gzip: what higher levels save in bytes costs several times the processor time. */
const level = 1;

/**
 * Compresses files one after the other, beside everything else. A file is replaced when its compressed form is on the disk;
 * after a crash in the middle it is there as it was.
 */
export class Compressor {
  readonly #onProblem: (message: string) => void;
  readonly #waiting: string[] = [];
  readonly #abort = new AbortController();
  #working: Promise<void> | undefined;

  constructor(onProblem: (message: string) => void) {
    this.#onProblem = onProblem;
  }

  add(path: string): void {
    if (this.#abort.signal.aborted || this.#waiting.includes(path)) return;
    this.#waiting.push(path);
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
  }

  /** The file is about to go. */
  forget(path: string): void {
    const at = this.#waiting.indexOf(path);
    if (at !== -1) this.#waiting.splice(at, 1);
  }

  /** Ends in the middle: what is not compressed is compressed next time. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    for (let path = this.#waiting.shift(); path !== undefined; path = this.#waiting.shift()) {
      if (this.#abort.signal.aborted) return;
      try {
        await this.#compress(path);
      } catch (error) {
        fs.rmSync(unfinishedPath(path), { force: true });
        // Removed meanwhile, because only so many are kept.
        if (codeOf(error) === "ENOENT" || this.#abort.signal.aborted) continue;
        this.#onProblem(`cannot compress ${path}, it stays as it is: ${reasonOf(error)}`);
      }
    }
  }

  async #compress(path: string): Promise<void> {
    const unfinished = unfinishedPath(path);
    const { O_RDONLY, O_NOFOLLOW } = fs.constants;
    const source = await fs.promises.open(path, O_RDONLY | O_NOFOLLOW);
    fs.rmSync(unfinished, { force: true });
    // Neither name may be a link that leads out of the folder.
    const target = fs.createWriteStream(unfinished, { flags: "wx", mode: 0o640, flush: true });
    const { signal } = this.#abort;
    await pipeline(source.createReadStream(), createGzip({ level }), target, { signal });
    fs.renameSync(unfinished, `${path}.gz`);
    await syncFolder(dirname(path));
    fs.rmSync(path, { force: true });
  }
}
