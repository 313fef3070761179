import type { EsConfig, HttpConfig, LokiConfig } from "#shipper";
import { Arena } from "./arena.ts";
import { HttpClient } from "./http-client.ts";
import type { HttpAnswer, HttpRequest, NoAnswer } from "./http-client.ts";
import { authority, isReachable } from "./http-connect.ts";
import type { OutputContext } from "./output.ts";
import { QueuedOutput } from "./queued-output.ts";
import type { Delivery, Portion, Retry } from "./queued-output.ts";
import { Records, countOf, cut } from "./records.ts";
import type { Part } from "./records.ts";
import { RequestSize } from "./request-size.ts";
import type { StoredEntry } from "./segment.ts";

/** A request, without what every request of the output has. */
export type Body = Pick<HttpRequest, "method" | "path" | "headers" | "body">;

/** A record, by its number, that the destination will never take. */
export interface Refused {
  readonly record: number;
  readonly why: string;
}

/**
 * What an answer says about the records of a request. `again`: nothing is settled, and it is not for the records; when it
 * is too much at once, less is sent then.
 * `refused`: something in it is refused, and the answer does not say what. `settled`: all but those that are named; what
 * is to be sent once more says whether waiting would help.
 */
export type Verdict =
  | { readonly kind: "delivered" }
  | { readonly kind: "again"; readonly why: string; readonly isTooMuch?: boolean }
  | { readonly kind: "refused" | "too-large"; readonly why: string }
  | {
      readonly kind: "settled";
      readonly refused: readonly Refused[];
      readonly again: Part;
      readonly waits: boolean;
      readonly why: string;
    };

/**
 * Refusals that say something about the destination or our credentials and nothing about the record: waiting helps,
 * setting records aside would not.
 */
export const notTheRecord: ReadonlySet<number> = new Set([401, 403, 404, 405, 407, 408, 421, 425, 429]);

const arenaBytesKept = 16 * 1024 * 1024;

/** What is left of the entries that are being delivered, kept over retries so that nothing goes twice without need. */
interface Work {
  readonly entries: readonly StoredEntry[];
  readonly records: Records;
  readonly parts: Part[];
}

/**
 * An output that sends requests, one at a time and in order. A refused request is halved until the refused record stands
 * alone; that one is set aside with the answer, the others are delivered. Anything else is retried, by default for ever.
 */
export abstract class RequestOutput<Config extends HttpConfig | EsConfig | LokiConfig> extends QueuedOutput {
  readonly config: Config;
  protected readonly portion: Portion;
  protected arena: Arena = new Arena();
  readonly #client: HttpClient;
  readonly #size: RequestSize;
  #work: Work | undefined;
  #brokenInARow = 0;

  constructor(config: Config, context: OutputContext, bytesMax: number) {
    super(config, context);
    this.config = config;
    this.portion = { bytesMax, countMax: 10_000, gatherMs: Math.min(context.service.flushMs, 1000) };
    this.#size = new RequestSize(bytesMax);
    this.#client = new HttpClient(config, context.mayUseSecret);
  }

  /** The request for some records. It may use the arena, which stays as it is until the answer is there. */
  protected abstract build(records: Records, part: Part): Body;
  /** What an answer says. */
  protected abstract judge(answer: HttpAnswer, records: Records, part: Part): Verdict;
  /** Most bytes of an answer that `judge` needs. */
  protected abstract readonly answerBytesMax: number;

  override async close(deadlineMs: number): Promise<void> {
    await super.close(deadlineMs);
    this.#client.close();
  }

  protected override isReachable(timeoutMs: number): Promise<boolean> {
    return isReachable(this.config, timeoutMs);
  }

  protected override *undelivered(
    entries: readonly StoredEntry[],
  ): Iterable<{ readonly tag: string; readonly line: Buffer }> {
    const { records, parts } = this.#workFor(entries);
    for (const [from, to] of parts.flat()) {
      for (let record = from; record < to; record++) {
        yield { tag: records.tagOf(record), line: records.line(record) };
      }
    }
  }

  protected async deliver(entries: readonly StoredEntry[], signal: AbortSignal): Promise<Delivery> {
    const { records, parts } = this.#workFor(entries);
    let hasProgress = false;
    for (let part = this.#take(records, parts); part !== undefined; part = this.#take(records, parts)) {
      if (this.arena.bytes.length > arenaBytesKept) this.arena = new Arena();
      this.arena.reset();
      const request = { ...this.build(records, part), answerBytesMax: this.answerBytesMax };
      const reply = await this.#client.send(request, signal);
      if (reply.kind === "none") {
        parts.unshift(part);
        return { ...this.#noAnswer(reply, records, part), hasProgress };
      }
      this.#brokenInARow = 0;
      const verdict = this.judge(reply, records, part);
      const before = countOf(parts.flat());
      const why = this.#settle(verdict, records, part, parts);
      hasProgress ||= countOf(parts.flat()) < before + countOf(part);
      if (why !== undefined) {
        const { afterMs } = reply;
        return { kind: "retry", why, hasProgress, ...(afterMs === undefined ? {} : { afterMs }) };
      }
    }
    this.#work = undefined;
    return { kind: "done" };
  }

  /** What a destination said, short enough for people, and where it was. */
  protected describe(said: string, status?: number): string {
    const where = authority(this.config.host, this.config.port);
    const text = said.trim().replaceAll(/\s+/g, " ").slice(0, 500);
    if (status === undefined) return `${where} gave no answer: ${text}`;
    return `${where} answered ${status}${text === "" ? "" : `: ${text}`}`;
  }

  /** What a status alone says. */
  protected judgeStatus({ status, body }: HttpAnswer): Verdict {
    const why = this.describe(body.toString("utf8", 0, 2000), status);
    if (status >= 200 && status < 300) return { kind: "delivered" };
    if (status === 413) return { kind: "too-large", why };
    if (status < 400 || status >= 500 || notTheRecord.has(status)) return { kind: "again", why };
    return { kind: "refused", why };
  }

  #workFor(entries: readonly StoredEntry[]): Work {
    if (this.#work?.entries === entries) return this.#work;
    const records = new Records(entries);
    this.#work = { entries, records, parts: [records.whole] };
    return this.#work;
  }

  /** The next part, no larger than what the destination takes now. */
  #take(records: Records, parts: Part[]): Part | undefined {
    const part = parts.shift();
    if (part === undefined || countOf(part) === 0) {
      return part === undefined ? undefined : this.#take(records, parts);
    }
    const bytes = records.bytesOf(part);
    if (bytes <= this.#size.bytesMax) return part;
    let fits = 0;
    let left = this.#size.bytesMax;
    for (const [from, to] of part) {
      for (let record = from; record < to && left > 0; record++) {
        left -= records.size(record) + 1;
        if (left >= 0) fits++;
      }
    }
    const [head, tail] = cut(part, Math.max(fits, 1));
    parts.unshift(tail);
    return head;
  }

  /** Takes what is settled out of the work, puts back what is not, and says why it has to wait, if so. */
  #settle(verdict: Verdict, records: Records, part: Part, parts: Part[]): string | undefined {
    const count = countOf(part);
    switch (verdict.kind) {
      case "delivered":
        this.#delivered(count, records.bytesOf(part));
        this.#size.delivered();
        return undefined;
      case "again":
        if (verdict.isTooMuch === true && count > 1) this.#size.tooSlow(records.bytesOf(part));
        parts.unshift(part);
        return verdict.why;
      case "too-large":
      case "refused":
        if (count > 1) {
          if (verdict.kind === "too-large") this.#size.tooLarge(records.bytesOf(part));
          parts.unshift(...cut(part, Math.ceil(count / 2)));
        } else this.#refuse(records, { record: part[0]?.[0] ?? 0, why: verdict.why });
        return undefined;
      case "settled": {
        const { refused, again, why } = verdict;
        const rest = countOf(again) + refused.length;
        const kept = records.bytesOf(again) + refused.reduce((sum, r) => sum + records.size(r.record) + 1, 0);
        if (rest < count) this.#delivered(count - rest, records.bytesOf(part) - kept);
        for (const one of refused) this.#refuse(records, one);
        if (countOf(again) === 0) return undefined;
        parts.unshift(again);
        return verdict.waits ? why : undefined;
      }
    }
  }

  #delivered(count: number, bytes: number): void {
    this.delivered += count;
    this.deliveredBytes += bytes;
    this.lastError = undefined;
  }

  #refuse(records: Records, { record, why }: Refused): void {
    this.park(records.tagOf(record), records.line(record), why);
  }

  /** Without an answer it may be the size: a slow line, or a proxy that cuts what is too large without a word. */
  #noAnswer({ cause, why }: NoAnswer, records: Records, part: Part): Retry {
    if (cause === "broken") this.#brokenInARow++;
    if (cause === "late") this.#size.late();
    else if (cause === "broken" && this.#brokenInARow > 1 && countOf(part) > 1) {
      this.#size.tooSlow(records.bytesOf(part));
    }
    return { kind: "retry", why: this.describe(why), isUnreachable: cause === "unreachable" };
  }
}
