import type { EsConfig } from "#shipper";
import { readEsAnswer } from "./es-answer.ts";
import type { EsFailure } from "./es-answer.ts";
import { EsBulk } from "./es-bulk.ts";
import type { HttpAnswer } from "./http-client.ts";
import type { OutputContext } from "./output.ts";
import { pick } from "./records.ts";
import type { Part, Records } from "./records.ts";
import { RequestOutput, notTheRecord } from "./request-output.ts";
import type { Body, Refused, Verdict } from "./request-output.ts";

/** Elasticsearch works best with a few megabytes at a time. */
const bytesMax = 5_000_000;

/** Failures that have the status of a bad record, and say something about the cluster or the index. */
const notTheRecordTypes: ReadonlySet<string> = new Set([
  "cluster_block_exception",
  "index_closed_exception",
  "index_not_found_exception",
  "invalid_index_name_exception",
  "security_exception",
  "validation_exception",
]);

/**
 * `es` and `opensearch`: bulk requests, judged record by record. A record that is there already is delivered, because its id
 * is made of where it stood; one that the cluster cannot take now is sent again alone; one that it will never take is set
 * aside with what the cluster said.
 */
export class EsOutput extends RequestOutput<EsConfig> {
  // At most 10,000 results; with a failure each they have a few hundred bytes.
  protected readonly answerBytesMax = 32 * 1024 * 1024;
  protected override readonly keepsPositions: boolean;
  readonly #bulk: EsBulk;
  readonly #headers = { "content-type": "application/x-ndjson", accept: "application/json" };

  constructor(config: EsConfig, context: OutputContext) {
    super(config, context, bytesMax);
    this.keepsPositions = config.id.kind === "source";
    this.#bulk = new EsBulk(config, context.clusterId);
    if (!this.queue.isEmpty) this.startSender();
  }

  protected build(records: Records, part: Part): Body {
    const body = this.#bulk.body(records, part, this.arena, Date.now());
    return { method: "POST", path: this.config.path, headers: this.#headers, body: [body] };
  }

  protected judge(answer: HttpAnswer, _records: Records, part: Part): Verdict {
    if (answer.status !== 200 && answer.status !== 201) return this.#judgeWhole(answer);
    if (!answer.isWhole) {
      return { kind: "too-large", why: this.describe("its answer is too long", answer.status) };
    }
    const count = part.reduce((sum, [from, to]) => sum + to - from, 0);
    const said = readEsAnswer(answer.body, count);
    switch (said.kind) {
      case "stored":
        return { kind: "delivered" };
      case "broken": {
        const begin = answer.body.toString("utf8", 0, 200);
        return { kind: "again", why: this.describe(`${said.why}: ${begin}`, answer.status) };
      }
      case "failures":
        return this.#judgeEach(said.failures, part);
    }
  }

  /** All action lines are made alike: what is wrong with one of them is wrong with the config. */
  #judgeWhole(answer: HttpAnswer): Verdict {
    const verdict = this.judgeStatus(answer);
    if (verdict.kind !== "refused" || !/metadata line/i.test(answer.body.toString("utf8", 0, 2000))) {
      return verdict;
    }
    return { kind: "again", why: `${verdict.why} (with Elasticsearch 8, "suppress_type_name" has to be on)` };
  }

  #judgeEach(failures: readonly EsFailure[], part: Part): Verdict {
    const numbers = numbersOf(part);
    const refused: Refused[] = [];
    const again = new Set<number>();
    let why = "";
    for (const failure of failures) {
      const { nth, status, type, reason } = failure;
      if (this.#isThere(failure)) continue;
      const said = this.describe(`${type}: ${reason}`, status);
      if (isForLater(failure)) {
        again.add(nth);
        why ||= said;
      } else refused.push({ record: numbers[nth] ?? 0, why: said });
    }
    const rest = pick(part, (nth) => again.has(nth));
    const often = `${again.size} of ${numbers.length} records could not be stored yet: ${why}`;
    return { kind: "settled", refused, again: rest, waits: true, why: often };
  }

  /** The same record is there already. With ids from a field it may be another one. */
  #isThere({ status, type }: EsFailure): boolean {
    const isConflict = status === 409 && (type === "" || type === "version_conflict_engine_exception");
    return isConflict && this.config.operation === "create" && this.config.id.kind === "source";
  }
}

function isForLater({ status, type, reason }: EsFailure): boolean {
  if (status >= 500 || notTheRecord.has(status) || notTheRecordTypes.has(type)) return true;
  return type === "illegal_argument_exception" && reason.startsWith("pipeline with id");
}

/** The record that stands at each place of a part. */
function numbersOf(part: Part): number[] {
  return part.flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => from + index));
}
