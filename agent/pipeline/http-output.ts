import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { HttpConfig } from "#shipper";
import { reasonOf } from "./files.ts";
import { formatBody } from "./http-format.ts";
import type { HttpRecord } from "./http-format.ts";
import type { OutputContext } from "./output.ts";
import { QueuedOutput, linesOf } from "./queued-output.ts";
import type { Delivery, Portion } from "./queued-output.ts";
import type { StoredEntry } from "./segment.ts";

interface TaggedRecord extends HttpRecord {
  readonly tag: string;
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

/**
 * Refusals that say something about the destination or our credentials and nothing about the record: waiting helps,
 * setting records aside would not.
 */
const notTheRecord: ReadonlySet<number> = new Set([401, 403, 404, 405, 407, 408, 421, 425, 429]);
const compress = promisify(gzip);

/**
 * `http`: POSTs records in order. A refused request is halved until the refused record stands alone; that one is set
 * aside with the answer, the others are delivered. Anything else is retried, by default for ever.
 */
export class HttpOutput extends QueuedOutput {
  readonly config: HttpConfig;
  protected readonly portion: Portion;
  readonly #agent: http.Agent;
  /** What is left of the entries being delivered: ranges still to send, kept over retries so that nothing goes twice. */
  #work:
    | { entries: readonly StoredEntry[]; records: readonly TaggedRecord[]; ranges: [number, number][] }
    | undefined;

  constructor(config: HttpConfig, context: OutputContext) {
    super(config, context);
    this.config = config;
    this.portion = { bytesMax: 2e6, countMax: 10_000, gatherMs: Math.min(context.service.flushMs, 1000) };
    const options = { keepAlive: true, maxSockets: 1, timeout: config.connectTimeoutMs };
    this.#agent = config.tls === undefined ? new http.Agent(options) : new https.Agent(options);
    if (!this.queue.isEmpty) this.startSender();
  }

  override async close(deadlineMs: number): Promise<void> {
    await super.close(deadlineMs);
    this.#agent.destroy();
  }

  protected async deliver(entries: readonly StoredEntry[], signal: AbortSignal): Promise<Delivery> {
    if (this.#work?.entries !== entries) {
      const records = entries.flatMap((entry) =>
        linesOf(entry.body).map((json) => ({ json, timeMs: entry.oldestMs, tag: entry.tag })),
      );
      this.#work = { entries, records, ranges: [[0, records.length]] };
    }
    const { records, ranges } = this.#work;
    for (let range = ranges[0]; range !== undefined; range = ranges[0]) {
      const [from, to] = range;
      const part = records.slice(from, to);
      const reply = await this.#post(part, signal);
      if (reply.status >= 200 && reply.status < 300) {
        this.delivered += part.length;
        this.deliveredBytes += part.reduce((sum, record) => sum + record.json.length + 1, 0);
        this.lastError = undefined;
        ranges.shift();
      } else if (reply.status < 400 || reply.status >= 500 || notTheRecord.has(reply.status)) {
        return { kind: "retry", why: describe(this.config, reply) };
      } else if (to - from > 1) {
        const middle = from + Math.floor((to - from) / 2);
        ranges.splice(0, 1, [from, middle], [middle, to]);
      } else {
        const [record] = part;
        if (record !== undefined) this.park(record.tag, record.json, describe(this.config, reply));
        ranges.shift();
      }
    }
    this.#work = undefined;
    return { kind: "done" };
  }

  /** Status 0 stands for no answer. */
  async #post(records: readonly HttpRecord[], signal: AbortSignal): Promise<Reply> {
    try {
      const plain = formatBody(records, this.config);
      const body = this.config.compress === "gzip" ? await compress(plain) : plain;
      return await this.#request(body, signal);
    } catch (error) {
      return { status: 0, text: reasonOf(error) };
    }
  }

  #request(body: Buffer, signal: AbortSignal): Promise<Reply> {
    const { host, port, uri, tls } = this.config;
    const options: https.RequestOptions = {
      method: "POST",
      host,
      port,
      path: uri,
      agent: this.#agent,
      headers: this.#headers(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(this.config.responseTimeoutMs)]),
      ...(tls === undefined ? {} : { rejectUnauthorized: tls.verify, servername: tls.vhost ?? host }),
      ...(tls?.caFile === undefined ? {} : { ca: fs.readFileSync(tls.caFile) }),
    };
    return new Promise((resolve, reject) => {
      const request = (tls === undefined ? http : https).request(options, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          if (text.length < 1000) text += chunk.slice(0, 1000);
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      });
      // The agent's timeout also watches an idle socket; only while connecting is it a failure.
      request.on("timeout", () => {
        if (request.socket?.connecting === true) request.destroy(new Error("no connection in time"));
      });
      request.on("error", reject);
      request.end(body);
    });
  }

  #headers(body: Buffer): http.OutgoingHttpHeaders {
    const { user, password, compress, headers } = this.config;
    return {
      "content-type": "application/json",
      "content-length": body.length,
      "user-agent": "falconry-agent",
      ...(compress === "gzip" ? { "content-encoding": "gzip" } : {}),
      ...(user === undefined
        ? {}
        : { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` }),
      ...Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
    };
  }
}

function describe(config: HttpConfig, reply: Reply): string {
  const where = `${config.host}:${config.port}${config.uri}`;
  if (reply.status === 0) return `${where} gave no answer: ${reply.text}`;
  const said = reply.text.trim().replaceAll(/\s+/g, " ").slice(0, 300);
  return `${where} answered ${reply.status}${said === "" ? "" : `: ${said}`}`;
}
