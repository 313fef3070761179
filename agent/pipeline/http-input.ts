import type { HttpInputConfig } from "#shipper";
import type { DeadLetter } from "./dead-letter.ts";
import { reasonOf } from "./files.ts";
import { BodySplitter } from "./http-body.ts";
import { HttpListener } from "./http-listener.ts";
import type { Answer, ListenerLimits } from "./http-listener.ts";
import { countsOf } from "./input.ts";
import type { Input, InputContext, InputReport } from "./input.ts";
import type { LineFile } from "./line-parser.ts";
import { LineSink } from "./line-sink.ts";
import type { Mark, SpoolMark } from "./mark.ts";
import { auditEventTime } from "./plain-lines.ts";
import { Progress } from "./progress.ts";
import type { Router } from "./router.ts";
import type { MayUseSecret } from "./secret.ts";
import { Spool } from "./spool.ts";

export interface HttpInputContext extends InputContext {
  /** Whether a file may be used as a certificate, key or token. */
  readonly mayUse: MayUseSecret;
  readonly limits: ListenerLimits;
}

const segmentBytes = 16 * 1024 * 1024;

/**
 * `http`: records that clients POST, such as the API server's audit webhook. A request is answered with success when its
 * records are on disk, synced; from there they are read like those of a file, so that an answer means at least once.
 */
export class HttpInput implements Input {
  readonly config: HttpInputConfig;
  readonly #context: InputContext;
  readonly #spool: Spool;
  readonly #name: string;
  readonly #listener: HttpListener;
  readonly #sink: LineSink;
  readonly #splitter = new BodySplitter();
  readonly #source: LineFile;
  #at: number;
  #committed: number;
  #lastEventMs: number | undefined;
  #lastError: string | undefined;

  private constructor(
    config: HttpInputConfig,
    spool: Spool,
    marks: readonly Mark[],
    deadLetter: DeadLetter,
    context: HttpInputContext,
  ) {
    this.config = config;
    this.#context = context;
    this.#spool = spool;
    this.#name = spoolName(config);
    this.#sink = new LineSink(
      { alias: config.alias, pathKey: undefined, offsetKey: undefined },
      deadLetter,
      context,
    );
    const own = marks.find((mark): mark is SpoolMark => mark.kind === "spool" && mark.id === spool.id);
    this.#at = this.#committed = Math.min(Math.max(own?.offset ?? 0, spool.start), spool.end);
    spool.drop(this.#committed);
    const path = `http://${config.listen}:${config.port}`;
    const progress = new Progress(0);
    const before = () => Buffer.alloc(0);
    this.#source = { path, base: path, identity: 0, origin: spool.id, progress, before };
    const ports = {
      take: (body: Buffer) => this.#take(body),
      onAnswer: (status: number) => {
        const { requests } = context.counters;
        requests[status] = (requests[status] ?? 0) + 1;
      },
      onProblem: (code: string, message: string) => this.#problem(code, message),
    };
    this.#listener = new HttpListener(config, ports, context.mayUse, context.limits);
  }

  /** Opens the spool in a folder and begins to listen. Rejects when either cannot be had. */
  static async open(
    config: HttpInputConfig,
    folder: string,
    marks: readonly Mark[],
    deadLetter: DeadLetter,
    context: HttpInputContext,
  ): Promise<HttpInput> {
    const spool = new Spool(folder, {
      bytesMax: config.spoolBytesMax,
      segmentBytes: Math.min(segmentBytes, Math.ceil(config.spoolBytesMax / 4)),
      onProblem: (message) => context.onProblem("http/spool", `Input "${config.alias}": ${message}`),
    });
    try {
      const input = new HttpInput(config, spool, marks, deadLetter, context);
      await input.#listener.listen();
      return input;
    } catch (error) {
      await spool.close();
      throw new Error(`Input "${config.alias}" (http): ${reasonOf(error)}`, { cause: error });
    }
  }

  get port(): number {
    return this.#listener.port;
  }

  tags(): readonly string[] {
    return [this.config.tag];
  }

  poll(nowMs: number): void {
    this.#listener.refresh(nowMs);
  }

  /** Takes what was appended in one piece. */
  turn(router: Router, _nowMs: number, wallMs: number): boolean {
    const entry = this.#spool.read(this.#at);
    if (entry === undefined) return false;
    const { lines, offset } = entry;
    this.#sink.begin(
      router,
      this.config.tag,
      auditEventTime(lines.subarray(0, lines.indexOf(0x0a))) ?? wallMs,
    );
    for (let start = 0; start < lines.length;) {
      const end = lines.indexOf(0x0a, start);
      this.#context.counters.bytes += end + 1 - start;
      this.#sink.record(lines, start, end, {
        file: this.#source,
        from: offset + start,
        to: offset + end + 1,
      });
      start = end + 1;
    }
    const last = lines.subarray(lines.lastIndexOf(0x0a, lines.length - 2) + 1);
    this.#lastEventMs = auditEventTime(last) ?? wallMs;
    this.#at = entry.next;
    return true;
  }

  commit(): void {
    this.#committed = this.#at;
  }

  rollback(): void {
    this.#at = this.#committed;
  }

  marks(): readonly Mark[] {
    return [{ kind: "spool", name: this.#name, id: this.#spool.id, offset: this.#committed }];
  }

  saved(marks: readonly Mark[]): void {
    const own = marks.find((mark): mark is SpoolMark => mark.kind === "spool" && mark.id === this.#spool.id);
    if (own !== undefined) this.#spool.drop(own.offset);
  }

  report(): InputReport {
    const atEnd = this.#at >= this.#spool.end;
    return {
      ...countsOf(this.#context.counters),
      alias: this.config.alias,
      plugin: this.config.plugin,
      oldestMs: atEnd ? undefined : (this.#lastEventMs ?? Date.now()),
      filesOpen: 0,
      filesFailing: 0,
      spoolBytes: this.#spool.bytes,
      atEnd,
      ended: false,
      lastError: this.#lastError,
    };
  }

  async close(): Promise<void> {
    await this.#listener.close();
    await this.#spool.close();
  }

  async #take(body: Buffer): Promise<Answer> {
    const split = this.#splitter.split(body);
    if (!split.ok) return { status: 400, text: `the body cannot be taken, nothing of it was: ${split.why}` };
    if (this.#spool.isFull) {
      this.#problem(
        "http/full",
        `its spool holds ${this.#spool.bytes} bytes, requests are answered with 429`,
      );
      return { status: 429, text: "the spool is full", headers: { "retry-after": "10" } };
    }
    if (split.count === 0) return { status: this.config.successStatus };
    try {
      await this.#spool.append(split.entries);
    } catch (error) {
      this.#problem("http/spool", reasonOf(error));
      return { status: 503, text: "the records cannot be stored", headers: { "retry-after": "10" } };
    }
    this.#lastError = undefined;
    return { status: this.config.successStatus };
  }

  #problem(code: string, message: string): void {
    this.#lastError = message;
    this.#context.onProblem(code, `Input "${this.config.alias}" (http): ${message}`);
  }
}

/** The folder of an input's spool: the same for the same input in every config. */
export function spoolName(config: HttpInputConfig): string {
  return `http-${config.alias}`;
}
