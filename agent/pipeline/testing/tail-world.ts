import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { isBelow, parseShipperConfig } from "#shipper";
import type { PipelineConfig, TailConfig } from "#shipper";
import type { Batch } from "../batch.ts";
import { DeadLetter } from "../dead-letter.ts";
import { newCounters } from "../input.ts";
import type { InputCounters, InputReport } from "../input.ts";
import type { Mark } from "../mark.ts";
import type { Output } from "../output.ts";
import { newRouterCounters, Router } from "../router.ts";
import { TailFiles } from "../tail-files.ts";
import { TailInput } from "../tail-input.ts";

/**
 * A real `tail` input over real files, turn by turn and with a clock of its own, so that a test decides when reading waits,
 * when the process dies, and what time it is.
 */
export class TailWorld {
  readonly dir: string;
  readonly records: { readonly tag: string; readonly value: Record<string, unknown> }[] = [];
  readonly problems: string[] = [];
  readonly counters: InputCounters = newCounters();
  nowMs = 1_000_000;
  #config: PipelineConfig | undefined;
  #input: TailInput | undefined;
  #files: TailFiles | undefined;
  #router: Router | undefined;
  #marks: readonly Mark[] = [];
  readonly #deadLetter: DeadLetter;

  constructor(t: TestContext) {
    this.dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-tail-")));
    fs.mkdirSync(join(this.dir, "log"));
    this.#deadLetter = new DeadLetter(join(this.dir, "parked"), {
      bytesMax: 1e9,
      onProblem: assert.fail,
      onEvicted: () => assert.fail(),
    });
    t.after(() => {
      this.#input?.close();
      fs.rmSync(this.dir, { recursive: true, force: true });
    });
  }

  /** A path below the folder that may be read. */
  path(name: string): string {
    return join(this.dir, "log", name);
  }

  append(name: string, text: string): void {
    fs.mkdirSync(join(this.path(name), ".."), { recursive: true });
    fs.appendFileSync(this.path(name), text);
  }

  rename(from: string, to: string): void {
    fs.renameSync(this.path(from), this.path(to));
  }

  /** Starts with these options of `tail`, where reading stopped. */
  start(options: string): void {
    const content = `[INPUT]\n Name tail\n Tag t\n Rotate_Wait 0\n${options}\n[OUTPUT]\n Name null\n Match *\n`;
    const parsed = parseShipperConfig([{ name: "a.conf", content }], {});
    assert.ok(parsed.ok, JSON.stringify(parsed));
    this.#config = parsed.config;
    this.#open();
  }

  /** Kills the process, in effect, and starts it again: what was committed counts and nothing else. */
  restart(): void {
    this.stop();
    this.#open();
  }

  stop(): void {
    this.#marks = JSON.parse(JSON.stringify(this.#marks)) as readonly Mark[];
    this.#input?.close();
    this.#input = undefined;
  }

  /** Looks at files but reads nothing, as while an output is full. */
  wait(ms: number): void {
    this.nowMs += ms;
    this.#live.input.poll(this.nowMs);
  }

  /** One turn; `crash` throws away what it gave. Whether there may be more. */
  turn(ms = 100, crash = false): boolean {
    const { input, router } = this.#live;
    this.nowMs += ms;
    input.poll(this.nowMs);
    const worked = input.turn(router, this.nowMs, this.nowMs);
    if (crash) {
      router.discard();
      input.rollback();
      return true;
    }
    router.flush();
    input.commit();
    this.#marks = input.marks();
    return worked;
  }

  /** Reads until there is nothing to read any more, in files that are left at their end. */
  drain(): void {
    for (let idle = 0; idle < 3;) idle = this.turn() ? 0 : idle + 1;
  }

  /** Reads until a condition holds; time goes on, and so does what happens beside. */
  async until(what: string, holds: () => boolean): Promise<void> {
    for (let turns = 0; turns < 2000; turns++) {
      if (holds()) return;
      if (!this.turn()) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.fail(`${what} did not come: ${JSON.stringify(this.report())} ${this.problems.join("; ")}`);
  }

  report(): InputReport {
    return this.#live.input.report();
  }

  values<T = unknown>(key: string): T[] {
    return this.records.map(({ value }) => value[key] as T);
  }

  parked(): Record<string, unknown>[] {
    const folder = join(this.dir, "parked");
    return fs
      .readdirSync(folder)
      .filter((name) => name.endsWith(".jsonl"))
      .flatMap((name) => fs.readFileSync(join(folder, name), "utf8").trim().split("\n"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get #live(): { input: TailInput; router: Router } {
    assert.ok(this.#input !== undefined && this.#router !== undefined);
    return { input: this.#input, router: this.#router };
  }

  #open(): void {
    assert.ok(this.#config !== undefined);
    const config = this.#config.inputs[0] as TailConfig;
    const [sink] = this.#config.outputs;
    assert.ok(sink !== undefined);
    const onProblem = (code: string, message: string) => this.problems.push(`${code} ${message}`);
    const context = { counters: this.counters, onProblem };
    this.#files = new TailFiles(config, this.#marks, false, {
      ...context,
      mayRead: (path) => isBelow(path, join(this.dir, "log")),
      unpackDir: join(this.dir, "unpacked"),
    });
    this.#files.refresh(this.nowMs);
    this.#input = new TailInput(config, this.#files, this.#deadLetter, context, this.nowMs);
    this.#marks = this.#input.marks();
    const take = (batch: Batch) => {
      const text = Buffer.concat(batch.buffers()).toString();
      for (const line of text.split("\n").slice(0, -1)) {
        this.records.push({ tag: batch.tag, value: JSON.parse(line) as Record<string, unknown> });
      }
    };
    const output = { config: sink, take } as unknown as Output;
    this.#router = new Router({
      config: this.#config,
      outputs: [output],
      clusterId: "c",
      rules: { detection: undefined, shadow: undefined, ring: undefined },
      counters: newRouterCounters(),
      filters: [],
      onProblem,
      isSecond: false,
    });
  }
}
