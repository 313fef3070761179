import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { misused } from "../failure.ts";

/** What to run, and how. */
export interface ProcessSpec {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Started again when it ends by itself; otherwise its end is just an end. */
  readonly restart: boolean;
}

/** How a process ended that was stopped: by itself with code 0, by the SIGTERM that it did not hear of yet, or otherwise. */
export type Ending = "done" | "told" | "forced";

/** A process that is kept running. */
export interface Managed {
  readonly spec: ProcessSpec;
  pid(): number | undefined;
  restarts(): number;
  /** The exit code of the last end; undefined while it never ended, null after a signal. */
  lastExit(): number | null | undefined;
  /** Ends it: SIGTERM, then SIGKILL after the deadline. One that is between two starts has ended. */
  stop(deadlineMs: number): Promise<Ending>;
  readonly ended: Promise<void>;
}

/** A process that an earlier start left behind. */
interface Trace {
  readonly name: string;
  readonly pid: number;
  /** Clock ticks since boot at which it started: tells it from a later process with the same number. */
  readonly startTicks: string;
}

/** Whoever starts the others. */
const ownerName = "up";
const restartMsMin = 250;
const restartMsMax = 10_000;

/** Starts processes, keeps them running, and writes down which ones, so that the next start can find them after a crash. */
export class Processes {
  readonly #file: string;
  readonly #logs: string;
  readonly #managed = new Set<{ name: string; pid: () => number | undefined }>();

  constructor(file: string, logs: string) {
    this.#file = file;
    this.#logs = logs;
  }

  /** The log file of a process. */
  logOf(name: string): string {
    return join(this.#logs, `${name}.log`);
  }

  start(spec: ProcessSpec): Managed {
    let child: ChildProcess;
    let stopping = false;
    let restarts = 0;
    let lastExit: number | null | undefined;
    let nextStart: NodeJS.Timeout | undefined;
    let finish: () => void;
    const ended = new Promise<void>((resolve) => (finish = resolve));
    const run = () => {
      const startedAt = Date.now();
      nextStart = undefined;
      child = this.#spawn(spec);
      this.#record();
      child.once("exit", (code) => {
        lastExit = code;
        if (stopping || !spec.restart) return finish();
        // A process that ran for a while starts again at once; one that dies young waits longer each time.
        const young = Date.now() - startedAt < 5_000;
        const delay = young
          ? Math.min(restartMsMax, restartMsMin * 2 ** Math.min(restarts, 10))
          : restartMsMin;
        restarts += 1;
        nextStart = setTimeout(run, delay);
      });
    };
    const entry = { name: spec.name, pid: () => child.pid };
    this.#managed.add(entry);
    run();
    return {
      spec,
      ended,
      pid: () => (child.exitCode === null && child.signalCode === null ? child.pid : undefined),
      restarts: () => restarts,
      lastExit: () => lastExit,
      stop: async (deadlineMs) => {
        stopping = true;
        if (nextStart !== undefined) finish();
        clearTimeout(nextStart);
        const alive = child.exitCode === null && child.signalCode === null;
        const timer = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
        if (alive) child.kill("SIGTERM");
        await ended;
        clearTimeout(timer);
        this.#managed.delete(entry);
        this.#record();
        if (!alive || lastExit === 0) return "done";
        return child.signalCode === "SIGTERM" ? "told" : "forced";
      },
    };
  }

  /**
   * Ends what an earlier start left behind and is provably ours, and takes the directory over. Returns the names. Throws
   * a failure while the start that owns them still runs: those are not left behind.
   */
  async stopLeftovers(deadlineMs: number): Promise<readonly string[]> {
    const running = this.#read().filter((trace) => startTicksOf(trace.pid) === trace.startTicks);
    const owner = running.find((trace) => trace.name === ownerName && trace.pid !== process.pid);
    if (owner !== undefined) {
      throw misused(
        `The fleet in ${dirname(this.#file)} is up already, by process ${owner.pid}`,
        "Use it from another terminal: fleetctl cluster list",
        "Stop it with Ctrl-C in its terminal, or choose another directory: npm start -- --state DIR --port PORT",
      );
    }
    const left = running.filter((trace) => trace.name !== ownerName);
    for (const { pid } of left) kill(pid, "SIGTERM");
    const deadline = Date.now() + deadlineMs;
    const alive = () => left.filter((trace) => startTicksOf(trace.pid) === trace.startTicks);
    while (alive().length > 0 && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const { pid } of alive()) kill(pid, "SIGKILL");
    this.#record();
    return left.map((trace) => trace.name);
  }

  #spawn(spec: ProcessSpec): ChildProcess {
    const log = openSync(this.logOf(spec.name), "a");
    try {
      // Its own session, so that Ctrl-C reaches only us and we end everything in order.
      return spawn(process.execPath, [...spec.args], {
        detached: true,
        stdio: ["ignore", log, log],
        env: { ...basicEnv(), ...spec.env },
      });
    } finally {
      closeSync(log);
    }
  }

  #record(): void {
    const owner = { name: ownerName, pid: () => process.pid };
    const traces = [owner, ...this.#managed].flatMap(({ name, pid }): Trace[] => {
      const id = pid();
      const startTicks = id === undefined ? undefined : startTicksOf(id);
      return id === undefined || startTicks === undefined ? [] : [{ name, pid: id, startTicks }];
    });
    writeFileAtomic.sync(this.#file, JSON.stringify(traces));
  }

  #read(): readonly Trace[] {
    try {
      return JSON.parse(readFileSync(this.#file, "utf8")) as Trace[];
    } catch {
      // No file: nothing was left. A damaged one names nobody, and the ports and locks will say who is in the way.
      return [];
    }
  }
}

function basicEnv(): Record<string, string> {
  // Who wants traces of a local fleet wants them of all of it.
  const traced = Object.keys(process.env).filter((name) => /^(?:FALCONRY_TRACES$|OTEL_)/.test(name));
  const kept = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "NODE_COMPILE_CACHE", ...traced];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself in between.
  }
}

/** When a process started, from /proc; undefined when it does not run. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended; only its parent has not looked yet.
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
