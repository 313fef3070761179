import { hostname } from "node:os";
import { crc32 } from "node:zlib";
import type { KafkaConfig } from "#shipper";
import { abortable } from "./abortable.ts";
import { Arena } from "./arena.ts";
import { isReachable } from "./http-connect.ts";
import { KafkaClient, kafkaReason, loadKafka } from "./kafka-client.ts";
import type { KafkaLibrary, KafkaProducer, Partitions } from "./kafka-client.ts";
import { KafkaFormat } from "./kafka-format.ts";
import type { OutputContext } from "./output.ts";
import { QueuedOutput } from "./queued-output.ts";
import type { Delivery, Portion } from "./queued-output.ts";
import { Records } from "./records.ts";
import { RequestSize } from "./request-size.ts";
import type { StoredEntry } from "./segment.ts";

const portionBytes = 2_000_000;
/** How long a broker may take to be connected to before it counts as away. */
const reachableMs = 1000;
const arenaBytesKept = 16 * 1024 * 1024;
/** What a message has beside its key and value, at most. */
const messageBytes = 64;

interface Work {
  readonly entries: readonly StoredEntry[];
  readonly records: Records;
  /** Records that are delivered or set aside, by number. */
  readonly isSettled: Uint8Array;
}

/** A record on its way. */
interface Message {
  readonly record: number;
  readonly topic: string;
  readonly key: Buffer | undefined;
  readonly start: number;
  readonly end: number;
  readonly timestampMs: number;
}

/**
 * `kafka`: one message a record. A partition gets one request after the other, so that its records keep their order; with
 * `acks all` the cluster writes a request that is repeated by the client once. Records without a key go to a partition by
 * cluster, node and tag: they keep their order, and nodes spread over the partitions.
 */
export class KafkaOutput extends QueuedOutput {
  readonly config: KafkaConfig;
  protected readonly portion: Portion;
  readonly #client: KafkaClient;
  readonly #format: KafkaFormat;
  readonly #size: RequestSize;
  #arena = new Arena();
  #work: Work | undefined;

  /** Throws when the library is not installed. */
  static async open(config: KafkaConfig, context: OutputContext): Promise<KafkaOutput> {
    return new KafkaOutput(config, context, await loadKafka(config.alias));
  }

  private constructor(config: KafkaConfig, context: OutputContext, library: KafkaLibrary) {
    super(config, context);
    this.config = config;
    this.#client = new KafkaClient(config, context, library);
    this.#format = new KafkaFormat(config);
    this.#size = new RequestSize(config.requestBytesMax);
    this.portion = {
      bytesMax: portionBytes,
      countMax: 10_000,
      gatherMs: Math.min(context.service.flushMs, 1000),
    };
    if (!this.queue.isEmpty) this.startSender();
  }

  override async close(deadlineMs: number): Promise<void> {
    await super.close(deadlineMs);
    this.#client.reset();
  }

  protected override async isReachable(timeoutMs: number): Promise<boolean> {
    const targets = this.config.brokers.map(({ host, port }) => ({
      host,
      port,
      tls: undefined,
      proxy: undefined,
      connectTimeoutMs: timeoutMs,
    }));
    const answers = await Promise.all(targets.map((target) => isReachable(target, timeoutMs)));
    return answers.includes(true);
  }

  protected override *undelivered(
    entries: readonly StoredEntry[],
  ): Iterable<{ readonly tag: string; readonly line: Buffer }> {
    const { records, isSettled } = this.#workFor(entries);
    for (let record = 0; record < records.count; record++) {
      if (isSettled[record] === 0) yield { tag: records.tagOf(record), line: records.line(record) };
    }
  }

  protected async deliver(entries: readonly StoredEntry[], signal: AbortSignal): Promise<Delivery> {
    const work = this.#workFor(entries);
    const left = () => work.isSettled.reduce((sum, settled) => sum + 1 - settled, 0);
    const before = left();
    try {
      const { producer, partitions } = await abortable(this.#client.ready(), signal);
      const groups = this.#group(work, partitions);
      const sent = await abortable(
        Promise.allSettled(
          [...groups].map(([partition, group]) => this.#send(producer, work, partition, group)),
        ),
        signal,
      );
      const failed = sent.find((one) => one.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    } catch (error) {
      this.#client.reset();
      const isUnreachable = !signal.aborted && !(await this.isReachable(reachableMs));
      return {
        kind: "retry",
        why: kafkaReason(error),
        hasProgress: left() < before,
        isUnreachable,
      };
    }
    this.#work = undefined;
    return { kind: "done" };
  }

  /** What is left, by topic and partition, in order. */
  #group(work: Work, partitions: Partitions): ReadonlyMap<string, Message[]> {
    if (this.#arena.bytes.length > arenaBytesKept) this.#arena = new Arena();
    this.#arena.reset();
    const groups = new Map<string, Message[]>();
    const { records, isSettled } = work;
    for (let record = 0; record < records.count; record++) {
      if (isSettled[record] === 1) continue;
      const topic = this.#format.topicOf(records, record);
      const key = this.#format.keyOf(records, record);
      const count = partitions.get(topic) ?? 0;
      if (count === 0) throw new Error(`the cluster has no topic "${topic}": create it`);
      // As librdkafka's own partitioner, so that a key stays where Fluent Bit put it.
      const hash = crc32(key ?? `${this.context.clusterId} ${hostname()} ${records.tagOf(record)}`);
      const name = `${hash % count} ${topic}`;
      const message = { record, topic, key, ...this.#format.put(records, record, this.#arena) };
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [message]);
      else group.push(message);
    }
    return groups;
  }

  /** Sends the messages of one partition, one request after the other. */
  async #send(producer: KafkaProducer, work: Work, name: string, group: readonly Message[]): Promise<void> {
    const partition = Number(name.split(" ", 1)[0]);
    let countMax = Number.POSITIVE_INFINITY;
    for (let waiting = [...group]; waiting.length > 0;) {
      const part = this.#cut(waiting, countMax);
      const bytes = part.reduce((sum, message) => sum + sizeOf(message), 0);
      try {
        await producer.send({
          messages: part.map(({ topic, key, start, end, timestampMs }) => ({
            topic,
            partition,
            value: this.#arena.bytes.subarray(start, end),
            timestamp: BigInt(timestampMs),
            ...(key === undefined ? {} : { key }),
          })),
        });
      } catch (error) {
        const refusal = this.#client.refusal(error);
        if (refusal === undefined) throw error;
        const [only] = part;
        if (part.length > 1 || only === undefined) {
          if (refusal.kind === "too-large") this.#size.tooLarge(bytes);
          countMax = Math.ceil(part.length / 2);
          continue;
        }
        this.park(work.records.tagOf(only.record), work.records.line(only.record), refusal.why);
        work.isSettled[only.record] = 1;
        countMax = Number.POSITIVE_INFINITY;
        waiting = waiting.slice(1);
        continue;
      }
      this.#delivered(work, part);
      waiting = waiting.slice(part.length);
    }
  }

  /** As many of the first messages as one request may carry, but at least one. */
  #cut(messages: readonly Message[], countMax: number): readonly Message[] {
    let left = this.#size.bytesMax;
    const end = messages.findIndex((message) => (left -= sizeOf(message)) < 0);
    return messages.slice(0, Math.min(countMax, end === -1 ? messages.length : Math.max(end, 1)));
  }

  #delivered(work: Work, part: readonly Message[]): void {
    for (const { record } of part) {
      work.isSettled[record] = 1;
      this.deliveredBytes += work.records.size(record) + 1;
    }
    this.delivered += part.length;
    this.#size.delivered();
    this.lastError = undefined;
  }

  #workFor(entries: readonly StoredEntry[]): Work {
    if (this.#work?.entries === entries) return this.#work;
    const records = new Records(entries);
    this.#work = { entries, records, isSettled: new Uint8Array(records.count) };
    return this.#work;
  }
}

function sizeOf({ key, start, end }: Message): number {
  return messageBytes + (key?.length ?? 0) + end - start;
}
