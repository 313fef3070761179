import { join } from "node:path";
import { newHistogram, observeSeconds } from "../domain/histogram.ts";
import type { OutputConfig } from "#shipper";
import type { Batch } from "./batch.ts";
import { DiskQueue } from "./disk-queue.ts";
import { reasonOf } from "./files.ts";
import type { Output, OutputContext, OutputStats } from "./output.ts";
import { encodePositions } from "./positions.ts";
import type { NewEntry, StoredEntry } from "./segment.ts";

/** How a delivery ended: all of it settled, or something to try again. */
export type Delivery = { readonly kind: "done" } | Retry;

export interface Retry {
  readonly kind: "retry";
  readonly why: string;
  /** Whether something was delivered: the destination is there, and waiting begins anew. */
  readonly hasProgress?: boolean;
  /** How long the destination asked to be left alone. */
  readonly afterMs?: number;
  /** Whether the destination could not even be connected to: `isReachable` tells when that changes. */
  readonly isUnreachable?: boolean;
  /** Whether the next attempt should have more of the queue, behind the same entries, as far as a portion reaches. */
  readonly needsMore?: boolean;
}

/** How much one delivery takes, and how long it waits to become more than one record. */
export interface Portion {
  readonly bytesMax: number;
  readonly countMax: number;
  readonly gatherMs: number;
}

const segmentBytes = 16 * 1024 * 1024;
/** Most that a destination may ask for. */
const askedMsMax = 300_000;
/** How often a destination that could not be connected to is tried while the output waits, and how long that may take. */
const probeMs = 1000;

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
  readonly #latency = newHistogram();
  #dropped = 0;
  #held: NewEntry[] = [];
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
      onProblem: (code, message) => this.problem(code, message),
    });
  }

  /** Delivers entries, or says why to try again. The same entries come again, as the same array, until it is done. */
  protected abstract deliver(entries: readonly StoredEntry[], signal: AbortSignal): Promise<Delivery>;
  protected abstract readonly portion: Portion;
  /** Whether entries have to say where their records stood. */
  protected readonly keepsPositions: boolean = false;

  /** Whether the destination can be connected to; asked only after a delivery that could not. */
  protected isReachable(_timeoutMs: number): Promise<boolean> {
    return Promise.resolve(false);
  }

  /** What of entries is not delivered yet, line by line. */
  protected *undelivered(
    entries: readonly StoredEntry[],
  ): Iterable<{ readonly tag: string; readonly line: Buffer }> {
    for (const { tag, body } of entries) for (const line of linesOf(body)) yield { tag, line };
  }

  get isSettled(): boolean {
    return this.#held.length === 0;
  }

  get isDurable(): boolean {
    return this.queue.isDurable;
  }

  get isFull(): boolean {
    return (this.queue.isFull && this.config.overflow === "wait") || !this.isSettled;
  }

  take(batch: Batch): void {
    const { tag, count, oldestMs } = batch;
    const positions = this.keepsPositions ? encodePositions(batch.positions) : undefined;
    this.enqueue(tag, count, oldestMs, batch.buffers(), positions);
  }

  retry(): void {
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      if (!this.#append(first)) return;
      this.#held.shift();
    }
  }

  oldestMs(): number | undefined {
    return this.queue.oldestMs() ?? this.#held[0]?.oldestMs;
  }

  async sync(): Promise<void> {
    await this.queue.sync();
  }

  stats(): OutputStats {
    const { alias, plugin } = this.config;
    return {
      alias,
      plugin,
      delivered: this.delivered,
      deliveredBytes: this.deliveredBytes,
      parked: this.parked,
      dropped: this.#dropped,
      retries: this.#retries,
      queueBytes: this.queue.bytes,
      queueRecords: this.queue.records,
      full: this.isFull,
      latency: this.#latency,
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

  protected enqueue(
    tag: string,
    count: number,
    oldestMs: number,
    body: readonly Buffer[],
    positions: Buffer = Buffer.alloc(0),
  ): void {
    const entry = { tag, count, oldestMs, body, positions };
    if (this.#held.length > 0 || !this.#append(entry)) {
      this.#held.push({ ...entry, body: [Buffer.concat(body)] });
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

  #append(entry: NewEntry): boolean {
    try {
      if (this.config.overflow === "drop_oldest" && this.queue.isFull) this.#dropOldest();
      this.queue.append(entry);
      return true;
    } catch (error) {
      this.problem("queue", `its queue cannot be written, reading waits: ${reasonOf(error)}`);
      return false;
    }
  }

  #dropOldest(): void {
    const records = this.queue.dropOldest();
    if (records === 0) return;
    this.#dropped += records;
    const why = `its queue held ${this.config.queueBytesMax} bytes, and "storage.overflow" is drop_oldest`;
    this.problem("dropped", `${records} of its oldest records were dropped: ${why}`);
  }

  async #send(): Promise<void> {
    let entries: readonly StoredEntry[] = [];
    let parkedBefore = this.parked;
    for (;;) {
      if (entries.length === 0) {
        await this.#gather();
        entries = this.queue.next(this.portion.bytesMax, this.portion.countMax);
        if (entries.length === 0) {
          if (this.#closing) return;
          continue;
        }
      }
      const delivery = await this.deliver(entries, this.#abort.signal);
      if (delivery.kind === "retry" && delivery.hasProgress === true) this.#failures = 0;
      if (delivery.kind === "done" || this.#isGivenUp(entries, delivery.why)) {
        if (this.parked > parkedBefore) await this.#settleParked();
        this.queue.ack(entries);
        const nowMs = Date.now();
        if (delivery.kind === "done") {
          for (const { oldestMs } of entries) observeSeconds(this.#latency, (nowMs - oldestMs) / 1000);
        }
        entries = [];
        parkedBefore = this.parked;
        this.#failures = 0;
        this.context.onRoom();
      } else if (this.#closing) {
        this.queue.rewind();
        return;
      } else {
        await this.#backOff(delivery);
        if (delivery.needsMore !== true) continue;
        this.queue.rewind();
        entries = [];
      }
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

  /**
   * Full jitter: random up to a cap that doubles, so that agents that failed together do not come back together. What the
   * destination asked for is waited for in any case. A destination that was not there is looked for in the meantime.
   */
  async #backOff({ why, afterMs = 0, isUnreachable = false }: Retry): Promise<void> {
    this.#retries++;
    const { backoffBaseMs, backoffCapMs } = this.context.service;
    const cap = Math.min(backoffCapMs, backoffBaseMs * 2 ** Math.min(this.#failures, 20));
    this.#failures++;
    this.problem("retry", `not delivered, trying again: ${why}`);
    const until = performance.now() + Math.max(Math.random() * cap, Math.min(afterMs, askedMsMax));
    for (let left = until - performance.now(); left > 0 && !this.#closing; left = until - performance.now()) {
      const share = isUnreachable ? Math.min(left, probeMs * (0.5 + Math.random() / 2)) : left;
      await this.#pauseFully(share);
      if (isUnreachable && !this.#closing && share < left && (await this.isReachable(probeMs))) return;
    }
  }

  #isGivenUp(entries: readonly StoredEntry[], why: string): boolean {
    const limit = this.config.retryLimit;
    if (limit === undefined || this.#failures < limit || this.#closing) return false;
    for (const { tag, line } of this.undelivered(entries)) {
      this.park(tag, line, `not delivered after ${limit} retries: ${why}`);
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
