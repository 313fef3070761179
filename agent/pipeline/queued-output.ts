import { join } from "node:path";
import type { OutputConfig } from "#shipper";
import type { Batch } from "./batch.ts";
import { DiskQueue } from "./disk-queue.ts";
import { reasonOf } from "./files.ts";
import type { Output, OutputContext, OutputStats } from "./output.ts";
import type { StoredEntry } from "./segment.ts";

/** How a delivery ended: all of it settled, or something to try again. */
export type Delivery = { readonly kind: "done" } | { readonly kind: "retry"; readonly why: string };

/** How much one delivery takes, and how long it waits to become more than one record. */
export interface Portion {
  readonly bytesMax: number;
  readonly countMax: number;
  readonly gatherMs: number;
}

interface Held {
  readonly tag: string;
  readonly count: number;
  readonly oldestMs: number;
  readonly body: Buffer;
}

const segmentBytes = 16 * 1024 * 1024;

/**
 * An output with a disk queue and one sender, so that records leave in the order in which they came. A destination that
 * is away costs this output its queue and nobody else anything, until the queue is full and the reader waits.
 */
export abstract class QueuedOutput implements Output {
  abstract readonly config: OutputConfig;
  protected readonly context: OutputContext;
  protected readonly queue: DiskQueue;
  protected delivered = 0;
  protected deliveredBytes = 0;
  protected parked = 0;
  protected lastError: string | undefined;
  #held: Held[] = [];
  #retries = 0;
  #failures = 0;
  #closing = false;
  #wake: (() => void) | undefined;
  readonly #abort = new AbortController();
  #sender: Promise<void> | undefined;

  constructor(config: OutputConfig, context: OutputContext) {
    this.context = context;
    this.queue = new DiskQueue(join(context.queueDir, queueName(config)), {
      bytesMax: config.queueBytesMax,
      segmentBytes: Math.min(segmentBytes, Math.ceil(config.queueBytesMax / 4)),
      onProblem: (message) => this.problem("damaged", message),
    });
  }

  /** Delivers entries, or says why to try again. The same entries come again, as the same array, until it is done. */
  protected abstract deliver(entries: readonly StoredEntry[], signal: AbortSignal): Promise<Delivery>;
  protected abstract readonly portion: Portion;

  get isSettled(): boolean {
    return this.#held.length === 0;
  }

  get isFull(): boolean {
    return this.queue.isFull || !this.isSettled;
  }

  take(batch: Batch): void {
    this.enqueue(batch.tag, batch.count, batch.oldestMs, batch.buffers());
  }

  retry(): void {
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      if (!this.#append(first.tag, first.count, first.oldestMs, [first.body])) return;
      this.#held.shift();
    }
  }

  oldestMs(): number | undefined {
    return this.queue.oldestMs() ?? this.#held[0]?.oldestMs;
  }

  async sync(): Promise<void> {
    await this.queue.sync();
  }

  savePosition(): void {
    this.queue.savePosition();
  }

  stats(): OutputStats {
    const { alias, plugin } = this.config;
    return {
      alias,
      plugin,
      delivered: this.delivered,
      deliveredBytes: this.deliveredBytes,
      parked: this.parked,
      retries: this.#retries,
      queueBytes: this.queue.bytes,
      queueRecords: this.queue.records,
      full: this.isFull,
      lastError: this.lastError,
    };
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closing = true;
    this.#wake?.();
    const timer = setTimeout(() => this.#abort.abort(), Math.max(deadlineMs - Date.now(), 0));
    await this.#sender;
    clearTimeout(timer);
    this.queue.close();
  }

  protected enqueue(tag: string, count: number, oldestMs: number, body: readonly Buffer[]): void {
    if (this.#held.length > 0 || !this.#append(tag, count, oldestMs, body)) {
      this.#held.push({ tag, count, oldestMs, body: Buffer.concat(body) });
    }
    this.startSender();
  }

  /** Begins to deliver; what an earlier process left in the queue comes first. */
  protected startSender(): void {
    if (this.#closing) return;
    if (this.#sender === undefined) {
      this.#sender = this.#send().catch((error: unknown) => {
        this.problem("stopped", `${reasonOf(error)}: it is started again`);
        this.queue.rewind();
        this.#sender = undefined;
        if (!this.#closing) setTimeout(() => this.startSender(), 1000);
      });
    } else this.#wake?.();
  }

  protected problem(code: string, message: string): void {
    this.lastError = message;
    const name = `Output "${this.config.alias}" (${this.config.plugin})`;
    this.context.onProblem(`output/${code}`, `${name}: ${message}`);
  }

  #append(tag: string, count: number, oldestMs: number, body: readonly Buffer[]): boolean {
    try {
      this.queue.append(tag, count, oldestMs, body);
      return true;
    } catch (error) {
      this.problem("queue", `its queue cannot be written, reading waits: ${reasonOf(error)}`);
      return false;
    }
  }

  async #send(): Promise<void> {
    let entries: readonly StoredEntry[] = [];
    for (;;) {
      if (entries.length === 0) {
        await this.#gather();
        entries = this.queue.next(this.portion.bytesMax, this.portion.countMax);
        if (entries.length === 0) {
          if (this.#closing) return;
          continue;
        }
      }
      const parkedBefore = this.parked;
      const delivery = await this.deliver(entries, this.#abort.signal);
      if (delivery.kind === "done" || this.#isGivenUp(entries, delivery.why)) {
        if (this.parked > parkedBefore) await this.#settleParked();
        this.queue.ack(entries);
        entries = [];
        this.#failures = 0;
        this.context.onRoom();
      } else if (this.#closing) {
        this.queue.rewind();
        return;
      } else await this.#backOff(delivery.why);
    }
  }

  /** What was set aside has to be durable before the queue forgets it. */
  async #settleParked(): Promise<void> {
    const { deadLetter } = this.context;
    for (deadLetter.retry(); !deadLetter.isSettled; deadLetter.retry()) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    await deadLetter.sync();
  }

  /** Waits until there is something to send, and then a little for more. */
  async #gather(): Promise<void> {
    while (this.queue.isEmpty && !this.#closing) await this.#pause(undefined);
    const { bytesMax, gatherMs } = this.portion;
    if (!this.#closing && this.queue.bytes < bytesMax / 4) await this.#pauseFully(gatherMs);
  }

  /** Full jitter: random up to a cap that doubles, so that agents that failed together do not come back together. */
  async #backOff(why: string): Promise<void> {
    this.#retries++;
    const { backoffBaseMs, backoffCapMs } = this.context.service;
    const cap = Math.min(backoffCapMs, backoffBaseMs * 2 ** Math.min(this.#failures, 20));
    this.#failures++;
    this.problem("retry", `not delivered, trying again: ${why}`);
    await this.#pauseFully(Math.random() * cap);
  }

  #isGivenUp(entries: readonly StoredEntry[], why: string): boolean {
    const limit = this.config.retryLimit;
    if (limit === undefined || this.#failures < limit || this.#closing) return false;
    for (const entry of entries) {
      for (const line of linesOf(entry.body)) {
        this.park(entry.tag, line, `not delivered after ${limit} retries: ${why}`);
      }
    }
    return true;
  }

  protected park(tag: string, line: Buffer, reason: string): void {
    this.parked++;
    this.context.deadLetter.park(line, { reason, output: this.config.alias, tag });
    this.problem("parked", `a record was set aside: ${reason}`);
  }

  async #pauseFully(ms: number): Promise<void> {
    const until = performance.now() + ms;
    for (let left = ms; left > 0 && !this.#closing; left = until - performance.now()) await this.#pause(left);
  }

  #pause(ms: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The folder of an output's queue: the same for the same output in every config, so that a new config goes on with it. */
export function queueName(config: OutputConfig): string {
  return `${config.plugin}-${config.alias}`;
}

/** The lines of a body without their newlines. */
export function linesOf(body: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const end = body.indexOf(0x0a, at);
    lines.push(body.subarray(at, end === -1 ? body.length : end));
    at = end === -1 ? body.length : end + 1;
  }
  return lines;
}
