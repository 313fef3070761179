import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ApplyResult, PipelineProblem, PipelineStats } from "../../agent/pipeline/pipeline.ts";
import { writeBundle } from "../../agent/pipeline/testing/bundles.ts";
import { testProgram } from "../../agent/pipeline/testing/test-program.ts";

export interface AgentOptions {
  readonly stateDir: string;
  /** What it may read and write below. */
  readonly dir: string;
  readonly ports: readonly number[];
  /** A command line that starts the process, such as one that lowers its limits first. */
  readonly wrap?: readonly string[];
}

/** A real agent pipeline in a process of its own, which may be killed and started again on the same state. */
export class Agent {
  readonly problems: PipelineProblem[] = [];
  readonly #options: AgentOptions;
  #child: ChildProcess | undefined;
  #waiting: ((answer: string) => void)[] = [];

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts the process with a shipper config, and resolves when that runs. */
  async start(config: string): Promise<void> {
    const { stateDir, dir, ports, wrap = [] } = this.#options;
    const command = [
      ...wrap,
      process.execPath,
      ...testProgram("agent-process"),
      stateDir,
      dir,
      ...ports.map(String),
    ];
    const child = spawn(command[0] ?? "", command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#waiting = [];
    createInterface({ input: child.stdout }).on("line", (line) => {
      const kind = line.slice(0, line.indexOf(" "));
      const text = line.slice(kind.length + 1);
      if (kind === "problem") this.problems.push(JSON.parse(text) as PipelineProblem);
      else this.#waiting.shift()?.(text);
    });
    child.once("exit", () => {
      for (const answer of this.#waiting.splice(0)) answer("null");
    });
    await this.apply(config);
  }

  async apply(config: string): Promise<void> {
    const shipper = writeBundle(join(this.#options.dir, "bundles"), "shipper", config);
    const result = (await this.#ask(`apply ${JSON.stringify({ shipper })}`)) as ApplyResult | null;
    assert.ok(result?.ok === true, `the config does not run: ${JSON.stringify(result)}`);
  }

  async stats(): Promise<PipelineStats> {
    const stats = (await this.#ask("stats")) as PipelineStats | null;
    assert.ok(stats !== null, "the agent process ended");
    return stats;
  }

  /** Ends the process with a signal and waits until it is gone. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  #ask(line: string): Promise<unknown> {
    return new Promise((resolve) => {
      if (!this.isRunning) return resolve(null);
      this.#waiting.push((text) => resolve(JSON.parse(text)));
      this.#child?.stdin?.write(`${line}\n`);
    });
  }
}
