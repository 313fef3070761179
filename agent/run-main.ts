import { setTimeout as sleep } from "node:timers/promises";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentError, problemOf } from "./agent-error.ts";
import { createConditions } from "./conditions.ts";
import { pathsOf } from "./config.ts";
import { lockState } from "./lock.ts";
import { loadLocalConfig, writeBundles } from "./local-config.ts";
import type { LocalOptions } from "./local-config.ts";
import { summarize, whatIsLeft } from "./local-report.ts";
import { createMonitor } from "./monitor/monitor.ts";
import { startPipeline } from "./pipeline/pipeline.ts";
import type { Pipeline, PipelineAlert, PipelineProblem, PipelineStats } from "./pipeline/pipeline.ts";

/** What whoever starts this process wants, as JSON on descriptor 3: it holds files, which may be long. */
export interface RunArguments extends LocalOptions {
  /** Kept over runs; a new one, which goes when nothing is left in it, if not given. */
  readonly stateDir?: string;
  /** End when everything that is there is read and delivered. */
  readonly once: boolean;
  readonly statsMs: number;
}

const exit = { done: 0, refused: 1, usage: 2, bug: 4, interrupted: 130, pipeClosed: 141 } as const;
const pollMs = 200;
/** So long a config that is being loaded may take after an interrupt; what hangs is not waited for. */
const loadingMs = 10_000;

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function run(options: RunArguments): Promise<number> {
  const loaded = loadLocalConfig(options);
  const stateDir = options.stateDir ?? fs.mkdtempSync(join(tmpdir(), "falconry-run-"));
  fs.mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const paths = pathsOf(stateDir);
  for (const warning of loaded.warnings) say(warning);
  const unlock = lockState(paths.lock);
  const pipeline = startPipeline({
    stateDir: paths.pipeline,
    allowList: loaded.allowList,
    endsAtEof: options.once,
    onAlerts: showAlerts,
    onProblem: showProblem,
  });
  try {
    const loading = pipeline.apply(writeBundles(join(stateDir, "run"), loaded), loaded.facts);
    const applied = await Promise.race([loading, interruptedFor(loadingMs)]);
    if (applied === undefined) {
      pipeline.kill();
      await pipeline.exited;
      if (options.stateDir === undefined) fs.rmSync(stateDir, { recursive: true, force: true });
      say("Interrupted before the config ran");
      return exit.interrupted;
    }
    if (!applied.ok) throw new AgentError(applied.reason, applied.detail);
    say(`The config runs; its state is in ${stateDir}.${options.once ? "" : " Ctrl-C ends it."}`);
    const stats = await until(pipeline, options);
    await pipeline.stop();
    const left = whatIsLeft(stats, hasQueued(join(paths.pipeline, "queue")));
    if (left.length > 0) {
      say(`${left.join(", ")}. What is left is in ${stateDir}: give it with --state to go on`);
      return exit.refused;
    }
    if (options.stateDir === undefined) fs.rmSync(stateDir, { recursive: true, force: true });
    return exit.done;
  } finally {
    await pipeline.stop();
    unlock();
  }
}

/** Runs until everything is delivered or somebody interrupts; the last figures. */
async function until(pipeline: Pipeline, options: RunArguments): Promise<PipelineStats> {
  const crashed = pipeline.exited.then(({ error }): never => {
    throw error ?? new Error("the pipeline ended by itself");
  });
  crashed.catch(() => {});
  const monitor = createMonitor(conditions);
  const startedMs = Date.now();
  let shown = { events: 0, ms: startedMs };
  let bytes = -1;
  let settled = 0;
  for (;;) {
    const stats = await Promise.race([pipeline.stats(), crashed]);
    // Twice without news in between: what was read last may have set something in motion.
    settled = isSettled(stats) && stats.bytes === bytes ? settled + 1 : 0;
    bytes = stats.bytes;
    monitor.update(stats);
    const mayEnd = options.once || stats.inputs.every((input) => input.ended);
    const isDone = interrupted.signal.aborted || (mayEnd && settled >= 2);
    const nowMs = Date.now();
    if (isDone || nowMs - shown.ms >= options.statsMs) {
      say(summarize(stats, stats.events - shown.events, nowMs - shown.ms, nowMs - startedMs));
      shown = { events: stats.events, ms: nowMs };
    }
    if (isDone) {
      monitor.stop();
      return stats;
    }
    // Cut short by whoever interrupts.
    const pause = sleep(pollMs, undefined, { signal: interrupted.signal }).catch(() => {});
    await Promise.race([pause, crashed]);
  }
}

/** Whether records wait on disk. */
function hasQueued(dir: string): boolean {
  if (!fs.existsSync(dir)) return false;
  return fs.readdirSync(dir, { recursive: true }).some((name) => String(name).endsWith(".seg"));
}

function isSettled(stats: PipelineStats): boolean {
  const isRead = stats.inputs.every((input) => input.atEnd || input.ended);
  return (
    isRead && stats.outputs.every((output) => output.queueRecords === 0 && !output.full && !output.isBehind)
  );
}

/** From the first moment on: who interrupts a start means it, too. Once: a second time ends the process at once. */
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());

function interruptedFor(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    const wait = () => setTimeout(() => resolve(undefined), ms).unref();
    if (interrupted.signal.aborted) wait();
    else interrupted.signal.addEventListener("abort", wait, { once: true });
  });
}

const known = new Set<string>();
/** What the config's HTTP server has to say, once. */
const conditions = createConditions(() => {
  for (const { code, message } of conditions.list()) {
    if (!known.has(message)) say(`${code}: ${message}`);
    known.add(message);
  }
});

/** Alerts of the output `fleet`: there is no server here, so a person gets them. */
function showAlerts(alerts: readonly PipelineAlert[], ack: () => void): void {
  for (const { priority, rule, output } of alerts) say(`alert: ${priority}: ${rule}: ${output}`);
  ack();
}

function showProblem({ code, message }: PipelineProblem): void {
  if (code === "output/write" && message.includes("EPIPE")) {
    // Whoever read standard output has enough, as in `... | head`.
    process.exit(exit.pipeClosed);
  }
  say(`${code}: ${message}`);
}

run(JSON.parse(fs.readFileSync(3, "utf8")) as RunArguments).then(
  (code) => process.exit(code),
  (error: unknown) => {
    if (error instanceof AgentError) {
      say(`${error.code}: ${error.message}`);
      process.exit(["run/not-allowed", "state/in-use"].includes(error.code) ? exit.refused : exit.usage);
    }
    const { code, message } = problemOf(error, "run/bug");
    say(`${code}: ${message}`);
    process.exit(code === "run/bug" ? exit.bug : exit.refused);
  },
);
