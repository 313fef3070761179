import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { ForwardConfig } from "#shipper";
import { abortable } from "./abortable.ts";
import { Arena } from "./arena.ts";
import { reasonOf } from "./files.ts";
import { ForwardConnection, HandshakeError } from "./forward-connection.ts";
import { ForwardFormat, packMessage } from "./forward-format.ts";
import { Suspects } from "./forward-suspects.ts";
import { ConnectError, authority, isReachable } from "./http-connect.ts";
import type { OutputContext } from "./output.ts";
import { QueuedOutput } from "./queued-output.ts";
import type { Delivery, Portion, Retry } from "./queued-output.ts";
import { Records, countOf, cut, pick } from "./records.ts";
import type { Part } from "./records.ts";
import { RequestSize } from "./request-size.ts";
import type { StoredEntry } from "./segment.ts";

/** As much as Fluent Bit's own chunks hold; its input takes messages of 6 MB by itself. */
const messageBytesMax = 2_000_000;
const arenaBytesKept = 16 * 1024 * 1024;
const gzipped = promisify(gzip);
/** The fast end of gzip: what higher levels save in bytes costs several times the processor time. */
const gzipLevel = 1;

/** Neighbours of one tag that go in one message. */
interface Message {
  readonly tag: string;
  readonly part: Part;
  /** Names the message towards the server, over retries, too. */
  readonly chunk: string;
}

interface Work {
  readonly entries: readonly StoredEntry[];
  readonly records: Records;
  /** Not settled yet, in order, but for records that are suspected. */
  messages: Message[];
  suspects: Suspects;
}

/**
 * `forward`: messages in PackedForward mode over one connection. All messages of a delivery are on their way at once, in
 * order; each is settled when the server acknowledges it. What is not acknowledged goes again, so that it may come twice.
 */
export class ForwardOutput extends QueuedOutput {
  readonly config: ForwardConfig;
  protected readonly portion: Portion;
  readonly #format: ForwardFormat;
  readonly #size = new RequestSize(messageBytesMax);
  #arena = new Arena();
  #connection: ForwardConnection | undefined;
  #work: Work | undefined;

  constructor(config: ForwardConfig, context: OutputContext) {
    super(config, context);
    this.config = config;
    this.#format = new ForwardFormat(config);
    this.portion = {
      bytesMax: messageBytesMax,
      countMax: 10_000,
      gatherMs: Math.min(context.service.flushMs, 1000),
    };
    if (!this.queue.isEmpty) this.startSender();
  }

  override async close(deadlineMs: number): Promise<void> {
    await super.close(deadlineMs);
    this.#connection?.close();
  }

  protected override isReachable(timeoutMs: number): Promise<boolean> {
    return isReachable(this.config, timeoutMs);
  }

  protected override *undelivered(
    entries: readonly StoredEntry[],
  ): Iterable<{ readonly tag: string; readonly line: Buffer }> {
    const { records, messages } = this.#workFor(entries);
    for (const [from, to] of messages.flatMap(({ part }) => part)) {
      for (let record = from; record < to; record++) {
        yield { tag: records.tagOf(record), line: records.line(record) };
      }
    }
  }

  protected async deliver(entries: readonly StoredEntry[], signal: AbortSignal): Promise<Delivery> {
    const work = this.#workFor(entries);
    const before = work.messages.length;
    const isReused = this.#connection?.isOpen === true && this.#connection.hasServed;
    let failure = await this.#attempt(work, signal);
    if (failure !== undefined && isReused && !signal.aborted && !(failure instanceof HandshakeError)) {
      // The other side closed a connection that had been idle: that says nothing about it.
      failure = await this.#attempt(work, signal);
    }
    if (failure === undefined) {
      this.#work = undefined;
      this.#size.delivered();
      return { kind: "done" };
    }
    return this.#retry(failure, work, work.messages.length < before);
  }

  /** Sends what is left; gives the failure that ended it, if one did. */
  async #attempt(work: Work, signal: AbortSignal): Promise<Error | undefined> {
    const abort = () => this.#connection?.close();
    signal.addEventListener("abort", abort);
    try {
      if (signal.aborted) throw new Error("the output is closing");
      if (this.#connection?.isOpen !== true) {
        const opening = ForwardConnection.open(this.config, this.context.mayUseSecret);
        this.#connection = await abortable(opening, signal, (connection) => connection.close());
      }
      await this.#exchange(this.#connection, work);
      if (this.#connection.isForOnce || !this.config.keepsConnection) this.#connection.close();
      return undefined;
    } catch (error) {
      this.#connection?.close();
      this.#connection = undefined;
      return error instanceof Error ? error : new Error(reasonOf(error));
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async #exchange(connection: ForwardConnection, work: Work): Promise<void> {
    if (this.#arena.bytes.length > arenaBytesKept) this.#arena = new Arena();
    this.#arena.reset();
    const awaited = new Map<string, Message>();
    const packed = await this.#pack(work);
    for (const { message } of packed) awaited.set(message.chunk, message);
    // Answers are read while messages are still being sent, so that neither side waits for the other.
    const sent = connection.send(packed.flatMap(({ pieces }) => pieces));
    sent.catch(() => {});
    if (!this.config.requiresAck) {
      await sent;
      connection.hasServed = true;
      for (const message of awaited.values()) this.#settle(work, message);
      return;
    }
    while (awaited.size > 0) {
      const chunk = await connection.nextAck();
      const message = awaited.get(chunk);
      // One that nobody waits for any more is of an earlier try.
      if (message === undefined) throw new Error("it acknowledged something that was not sent");
      awaited.delete(chunk);
      this.#settle(work, message);
    }
    await sent;
  }

  /** Writes messages into the arena, and then looks where they lie: it may have moved while it grew. */
  async #pack(work: Work): Promise<{ message: Message; pieces: readonly Buffer[] }[]> {
    const laid = work.messages.map((message) => ({
      message,
      entries: this.#format.entries(work.records, message.part, this.#arena),
    }));
    const packed: { message: Message; pieces: readonly Buffer[] }[] = [];
    for (const { message, entries } of laid) {
      for (const { record, why } of entries.refused) this.#refuse(work, message, record, why);
      if (entries.count === 0) continue;
      const plain = this.#arena.bytes.subarray(entries.start, entries.end);
      const isCompressed = this.config.compress === "gzip";
      const body = isCompressed ? await gzipped(plain, { level: gzipLevel }) : plain;
      const pieces = packMessage(message.tag, body, {
        ...(this.config.requiresAck ? { chunk: message.chunk } : {}),
        size: entries.count,
        ...(isCompressed ? { compressed: "gzip" as const } : {}),
      });
      packed.push({ message, pieces });
    }
    return packed;
  }

  #settle(work: Work, { chunk }: Message): void {
    for (const { part } of work.messages.filter((one) => one.chunk === chunk)) {
      this.delivered += countOf(part);
      this.deliveredBytes += work.records.bytesOf(part);
    }
    work.messages = work.messages.filter((one) => one.chunk !== chunk);
    work.suspects.acknowledged(chunk);
    this.lastError = undefined;
  }

  /** Takes a record that cannot be written in the protocol out of its message. */
  #refuse(work: Work, message: Message, record: number, why: string): void {
    this.park(message.tag, work.records.line(record), `it cannot be sent: ${why}`);
    work.messages = work.messages.flatMap((one) => {
      if (one.chunk !== message.chunk) return [one];
      const part = one.part.flatMap(([from, to]) =>
        (
          [
            [from, Math.min(to, record)],
            [Math.max(from, record + 1), to],
          ] as const
        ).filter(([a, b]) => a < b),
      );
      return part.length === 0 ? [] : [{ ...one, part }];
    });
  }

  #retry(failure: Error, work: Work, hasProgress: boolean): Retry {
    const why = `${authority(this.config.host, this.config.port)}: ${failure.message}`;
    if (failure instanceof ConnectError) {
      return { kind: "retry", why, hasProgress, isUnreachable: !failure.isReached };
    }
    const [first, ...others] = work.messages;
    if (failure instanceof HandshakeError || first === undefined) return { kind: "retry", why, hasProgress };
    switch (work.suspects.broke(first.chunk, countOf(first.part))) {
      case "again":
        break;
      case "smaller":
        // A server that takes messages of a certain size only closes the connection without a word, too.
        this.#size.tooSlow(work.records.bytesOf(first.part));
        work.messages = [...this.#halve(work.records, first), ...others].flatMap((message) =>
          this.#split(work.records, message),
        );
        break;
      case "last":
        work.messages = [...others, first];
        // Alone it proves nothing: what comes behind it in the queue shows whether the server takes anything.
        return { kind: "retry", why, hasProgress, needsMore: others.length === 0 };
      case "refused":
        this.#refuseSuspect(work, first, why);
        return { kind: "retry", why, hasProgress: true };
    }
    return { kind: "retry", why, hasProgress };
  }

  #refuseSuspect(work: Work, message: Message, why: string): void {
    const [[record] = [0]] = message.part;
    const times = work.suspects.breaksOf(message.chunk);
    const reason = `the server takes other records, and broke off at this one ${times} times: ${why}`;
    this.park(message.tag, work.records.line(record), reason);
    work.messages = work.messages.filter(({ chunk }) => chunk !== message.chunk);
  }

  #halve(records: Records, message: Message): readonly Message[] {
    // Where size decides it is halved below.
    if (records.bytesOf(message.part) > this.#size.bytesMax) return [message];
    return cut(message.part, Math.ceil(countOf(message.part) / 2)).map((part) => ({
      ...message,
      part,
      chunk: newChunk(),
    }));
  }

  #workFor(entries: readonly StoredEntry[]): Work {
    const before = this.#work;
    if (before?.entries === entries) return before;
    this.#work = this.#newWork(entries);
    if (before !== undefined && isBeginOf(before.entries, entries)) goOn(this.#work, before);
    return this.#work;
  }

  #newWork(entries: readonly StoredEntry[]): Work {
    const records = new Records(entries);
    const messages: Message[] = [];
    for (const [index, { tag }] of entries.entries()) {
      const range = [records.firsts[index] ?? 0, records.firsts[index + 1] ?? records.count] as const;
      const last = messages.at(-1);
      const name = this.config.tag ?? tag;
      if (last?.tag === name) messages.splice(-1, 1, { ...last, part: [...last.part, range] });
      else messages.push({ tag: name, part: [range], chunk: newChunk() });
    }
    const split = messages.flatMap((one) => this.#split(records, one));
    return { entries, records, messages: split, suspects: new Suspects() };
  }

  /** Halves a message until it is no larger than what the server takes. */
  #split(records: Records, message: Message): Message[] {
    const count = countOf(message.part);
    if (count <= 1 || records.bytesOf(message.part) <= this.#size.bytesMax) return [message];
    return cut(message.part, Math.ceil(count / 2)).flatMap((part) =>
      this.#split(records, { ...message, part, chunk: newChunk() }),
    );
  }
}

/** Whether entries are the first ones of others. */
function isBeginOf(some: readonly StoredEntry[], others: readonly StoredEntry[]): boolean {
  return some.every((one, at) => {
    const other = others[at];
    return one.segment === other?.segment && one.sequence === other.sequence;
  });
}

/** Settled stays settled: of what was there before only the messages that are left go on, in front of what is new. */
function goOn(work: { messages: Message[]; suspects: Suspects }, before: Work): void {
  const isNew = (record: number): boolean => record >= before.records.count;
  const fresh = work.messages.flatMap((message): Message[] => {
    const numbers = message.part.flatMap(([from, to]) =>
      Array.from({ length: to - from }, (_, at) => from + at),
    );
    const part = pick(message.part, (nth) => isNew(numbers[nth] ?? 0));
    return part.length === 0 ? [] : [{ ...message, part }];
  });
  work.messages = [...fresh, ...before.messages];
  work.suspects = before.suspects;
}

/** 128 bits, as the protocol has them. */
function newChunk(): string {
  return randomBytes(16).toString("base64");
}
