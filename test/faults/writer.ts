import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { auditLine } from "../../agent/pipeline/testing/bundles.ts";

export type Rotation = "none" | "rename" | "copytruncate";

export interface WriterOptions {
  readonly log: string;
  readonly recordsPerSecond: number;
  readonly rotation: Rotation;
  /** Size at which the log is rotated. */
  readonly rotateBytes?: number;
  /** Rotated files that are kept; older ones are removed. Default: all. */
  readonly keep?: number;
  readonly prefix?: string;
}

const tickMs = 10;
const placeholder = "@@record-id@@";

/** Writes numbered audit events at a steady rate, as the API server and logrotate do, until it is stopped. */
export class Writer {
  readonly written: string[] = [];
  rotations = 0;
  readonly #options: WriterOptions;
  readonly #head: string;
  readonly #tail: string;
  #size: number;
  #done = false;
  #running: Promise<void>;

  constructor(options: WriterOptions) {
    this.#options = options;
    const [head = "", tail = ""] = auditLine(placeholder).split(placeholder);
    this.#head = head;
    this.#tail = `${tail}\n`;
    this.#size = fs.existsSync(options.log) ? fs.statSync(options.log).size : 0;
    this.#running = this.#run();
  }

  /** Resolves when so many records are written. */
  async reached(count: number): Promise<void> {
    while (this.written.length < count && !this.#done) await sleep(tickMs);
  }

  async stop(): Promise<void> {
    this.#done = true;
    await this.#running;
  }

  /** Appends a line of its own, which is not counted. */
  line(text: string): void {
    this.#append(`${text}\n`);
  }

  async #run(): Promise<void> {
    const began = performance.now();
    const { recordsPerSecond, prefix = "r" } = this.#options;
    while (!this.#done) {
      const due = Math.floor(((performance.now() - began) / 1000) * recordsPerSecond);
      let text = "";
      while (this.written.length < due) {
        const id = `${prefix}-${this.written.length}`;
        this.written.push(id);
        text += this.#head + id + this.#tail;
      }
      if (text !== "") this.#write(text);
      await sleep(tickMs);
    }
  }

  /** In two writes, so that readers meet half lines. */
  #write(text: string): void {
    const cut = (this.written.length * 37) % text.length;
    this.#append(text.slice(0, cut));
    this.#append(text.slice(cut));
    if (this.#size >= (this.#options.rotateBytes ?? Number.POSITIVE_INFINITY)) this.#rotate();
  }

  #append(text: string): void {
    fs.appendFileSync(this.#options.log, text);
    this.#size += Buffer.byteLength(text);
  }

  #rotate(): void {
    const { log, rotation, keep } = this.#options;
    const number = this.rotations++;
    if (rotation === "rename") {
      fs.renameSync(
        log,
        log.replace(/\.log$/, `-2026-11-22T10-00-00.${String(number).padStart(3, "0")}.log`),
      );
    } else {
      for (let n = Math.min(number, keep ?? number); n >= 1; n--) {
        if (fs.existsSync(`${log}.${n}`)) fs.renameSync(`${log}.${n}`, `${log}.${n + 1}`);
      }
      fs.copyFileSync(log, `${log}.1`);
      fs.truncateSync(log);
    }
    this.#size = 0;
    if (keep === undefined || rotation !== "rename" || number < keep) return;
    const oldest = String(number - keep).padStart(3, "0");
    fs.rmSync(log.replace(/\.log$/, `-2026-11-22T10-00-00.${oldest}.log`), { force: true });
  }
}
