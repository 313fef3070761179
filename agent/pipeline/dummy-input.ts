import type { DummyConfig } from "#shipper";
import type { DeadLetter } from "./dead-letter.ts";
import { countsOf } from "./input.ts";
import type { Input, InputContext, InputReport } from "./input.ts";
import type { LineFile } from "./line-parser.ts";
import { LineSink } from "./line-sink.ts";
import type { Mark } from "./mark.ts";
import { Progress } from "./progress.ts";
import type { Router } from "./router.ts";

const perTurnMax = 1000;

/** `dummy`: the same record at a steady rate, to try a config with. It begins anew with every start. */
export class DummyInput implements Input {
  readonly config: DummyConfig;
  readonly #context: InputContext;
  readonly #sink: LineSink;
  readonly #line: Buffer;
  readonly #source: LineFile;
  #dueFrom: number;
  /** Times that were due and are done since `#dueFrom`, and all of them. */
  #since = 0;
  #made = 0;
  #committed = 0;

  constructor(config: DummyConfig, deadLetter: DeadLetter, context: InputContext, nowMs: number) {
    this.config = config;
    this.#context = context;
    this.#sink = new LineSink(
      { alias: config.alias, pathKey: undefined, offsetKey: undefined },
      deadLetter,
      context,
    );
    this.#line = Buffer.from(`${config.record}\n`);
    const before = () => Buffer.alloc(0);
    this.#source = {
      path: "dummy",
      base: "dummy",
      identity: 0,
      origin: `dummy ${config.alias}`,
      progress: new Progress(0),
      before,
    };
    this.#dueFrom = nowMs;
  }

  tags(): readonly string[] {
    return [this.config.tag];
  }

  poll(nowMs: number): void {
    // While reading waits nothing piles up: at most a second's worth is made up for.
    if (nowMs - this.#dueFrom < 1000 + (this.#since * 1000) / this.config.rate) return;
    this.#dueFrom = nowMs - 1000;
    this.#since = 0;
  }

  turn(router: Router, nowMs: number, wallMs: number): boolean {
    const due = Math.floor(((nowMs - this.#dueFrom) * this.config.rate) / 1000) - this.#since;
    const left = (this.config.samples ?? Number.POSITIVE_INFINITY) - this.#made;
    const times = Math.min(due, left, perTurnMax);
    if (times <= 0) return false;
    this.#sink.begin(router, this.config.tag, wallMs);
    for (let time = 0; time < times; time++, this.#made++, this.#since++) {
      for (let copy = 0; copy < this.config.copies; copy++) {
        const from = this.#made * this.config.copies + copy;
        this.#context.counters.bytes += this.#line.length;
        this.#sink.record(this.#line, 0, this.#line.length - 1, { file: this.#source, from, to: from + 1 });
      }
    }
    return times < due;
  }

  commit(): void {
    this.#committed = this.#made;
  }

  rollback(): void {
    this.#since -= this.#made - this.#committed;
    this.#made = this.#committed;
  }

  marks(): readonly Mark[] {
    return [];
  }

  saved(): void {}

  report(): InputReport {
    return {
      ...countsOf(this.#context.counters),
      alias: this.config.alias,
      plugin: this.config.plugin,
      oldestMs: undefined,
      filesOpen: 0,
      filesFailing: 0,
      spoolBytes: 0,
      atEnd: true,
      ended: this.#made >= (this.config.samples ?? Number.POSITIVE_INFINITY),
      lastError: undefined,
    };
  }

  close(): void {}
}
