import type { NullConfig, StdoutConfig } from "#shipper";
import { Arena } from "./arena.ts";
import type { Batch } from "./batch.ts";
import { reasonOf, writeAllSync } from "./files.ts";
import { HttpFormat } from "./http-format.ts";
import type { Output, OutputContext, OutputStats } from "./output.ts";
import { Records } from "./records.ts";

const nowhere = { segment: 0, sequence: 0, end: 0 };
const nothing = Buffer.alloc(0);

/** `stdout` and `null`: nothing to queue. A pipe that nobody reads makes the reader wait. */
export class DirectOutput implements Output {
  readonly config: StdoutConfig | NullConfig;
  readonly #context: OutputContext;
  readonly #format: HttpFormat | undefined;
  #held: Buffer[] = [];
  #delivered = 0;
  #bytes = 0;
  #lastError: string | undefined;

  constructor(config: StdoutConfig | NullConfig, context: OutputContext) {
    this.config = config;
    this.#context = context;
    this.#format = config.plugin === "stdout" ? new HttpFormat(config) : undefined;
  }

  get isSettled(): boolean {
    return this.#held.length === 0;
  }

  get isDurable(): boolean {
    return true;
  }

  get isFull(): boolean {
    return !this.isSettled;
  }

  take(batch: Batch): void {
    this.#delivered += batch.count;
    this.#bytes += batch.bytes;
    if (this.config.plugin === "null" || this.#format === undefined) return;
    const { tag, count, oldestMs } = batch;
    const body = Buffer.concat(batch.buffers());
    const records = new Records([{ tag, count, oldestMs, body, positions: nothing, ...nowhere }]);
    const pieces = this.#format.body(records, records.whole, new Arena());
    // What is no line yet ends in one, so that what comes next begins on its own.
    this.#held.push(...pieces, ...(this.config.format === "json_lines" ? [] : [Buffer.from("\n")]));
    this.retry();
  }

  retry(): void {
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      // Small pieces, so that what a full pipe refuses is known to the byte.
      const piece = first.subarray(0, 4096);
      try {
        writeAllSync(1, [piece]);
      } catch (error) {
        this.#lastError = `cannot write to standard output: ${reasonOf(error)}`;
        this.#context.onProblem("output/write", `Output "${this.config.alias}" (stdout): ${this.#lastError}`);
        return;
      }
      if (piece.length === first.length) this.#held.shift();
      else this.#held[0] = first.subarray(piece.length);
    }
  }

  oldestMs(): undefined {
    return undefined;
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  stats(): OutputStats {
    return {
      alias: this.config.alias,
      plugin: this.config.plugin,
      delivered: this.#delivered,
      deliveredBytes: this.#bytes,
      parked: 0,
      dropped: 0,
      retries: 0,
      queueBytes: 0,
      queueRecords: 0,
      full: this.isFull,
      lastError: this.#lastError,
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
