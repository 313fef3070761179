import type { HttpConfig } from "#shipper";
import type { HttpAnswer } from "./http-client.ts";
import { HttpFormat } from "./http-format.ts";
import type { OutputContext } from "./output.ts";
import type { Part, Records } from "./records.ts";
import { RequestOutput } from "./request-output.ts";
import type { Body, Verdict } from "./request-output.ts";

/** What Fluent Bit sends in one chunk. */
const bytesMax = 2_500_000;

/** `http`: sends records in one of Fluent Bit's formats and goes by the status alone. */
export class HttpOutput extends RequestOutput<HttpConfig> {
  protected readonly answerBytesMax = 64 * 1024;
  readonly #format: HttpFormat;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(config: HttpConfig, context: OutputContext) {
    super(config, context, bytesMax);
    this.#format = new HttpFormat(config);
    this.#headers = { "content-type": "application/json" };
    if (!this.queue.isEmpty) this.startSender();
  }

  protected build(records: Records, part: Part): Body {
    const { method, uri } = this.config;
    return { method, path: uri, headers: this.#headers, body: this.#format.body(records, part, this.arena) };
  }

  protected judge(answer: HttpAnswer): Verdict {
    return this.judgeStatus(answer);
  }
}
