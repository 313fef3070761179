import type { LokiConfig } from "#shipper";
import type { HttpAnswer } from "./http-client.ts";
import { readLokiRefusal } from "./loki-answer.ts";
import { LokiPush } from "./loki-push.ts";
import type { PushedStream } from "./loki-push.ts";
import type { OutputContext } from "./output.ts";
import { minus } from "./records.ts";
import type { Part, Records } from "./records.ts";
import { RequestOutput } from "./request-output.ts";
import type { Body, Verdict } from "./request-output.ts";

/** Inside, Loki sends what it takes in messages of at most 4 MB, and by default bounds a tenant's burst to 6. */
const bytesMax = 1_000_000;

/**
 * `loki`: pushes streams. When Loki refuses entries, those that its answer speaks of are set aside and the others are sent
 * again; it drops what it has already, because a record always has the same time, labels and line.
 */
export class LokiOutput extends RequestOutput<LokiConfig> {
  protected readonly answerBytesMax = 256 * 1024;
  readonly #push: LokiPush;
  readonly #headers: Readonly<Record<string, string>>;
  #streams: readonly PushedStream[] = [];

  constructor(config: LokiConfig, context: OutputContext) {
    super(config, context, bytesMax);
    this.#push = new LokiPush(config);
    this.#headers = {
      "content-type": "application/json",
      ...(config.tenantId === undefined ? {} : { "x-scope-orgid": config.tenantId }),
    };
    if (!this.queue.isEmpty) this.startSender();
  }

  protected build(records: Records, part: Part): Body {
    this.#streams = this.#push.body(records, part, this.arena);
    const body = [this.arena.bytes.subarray(0, this.arena.length)];
    return { method: "POST", path: this.config.uri, headers: this.#headers, body };
  }

  protected judge(answer: HttpAnswer, _records: Records, part: Part): Verdict {
    const verdict = this.judgeStatus(answer);
    // A batch beyond what the tenant may send at once would never get through.
    if (answer.status === 429 && verdict.kind === "again") return { ...verdict, isTooMuch: true };
    if (verdict.kind !== "refused") return verdict;
    const found = readLokiRefusal(answer.body.toString(), this.#streams);
    if (found.length === 0) return verdict;
    const refused = found.map(({ record, why }) => ({ record, why: this.describe(why, answer.status) }));
    const again = minus(part, new Set(found.map(({ record }) => record)));
    return { kind: "settled", refused, again, waits: false, why: verdict.why };
  }
}
