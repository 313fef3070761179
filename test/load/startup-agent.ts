import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "./figures.ts";

/** Where an agent that ran has left what it knows. */
interface Place {
  readonly auditLog: string;
  readonly agent: string;
  readonly output: string;
  readonly allowFile: string;
  /** Where the log store of the fleet was, which the allow-list names. */
  readonly sinkPort: number;
}

interface Task {
  readonly programs: Readonly<Record<string, string>>;
  readonly place: Place;
  readonly runs: number;
  readonly idleMs: number;
}

const firstMsMax = 60_000;

/**
 * Starts agents in turns, with one new event in the log and no server there. `firstEventMs` is until the event stands in the
 * output's file: read, enriched, judged by the rules and delivered, so that reading it took less. Memory is that of the last of each, idle.
 */
export async function measureAgents({ programs, place, runs, idleMs }: Task): Promise<object> {
  const figures = new Map<string, Figures>();
  for (let round = 0; round <= runs; round++) {
    for (const [name, program] of Object.entries(programs)) {
      const { ms, cpuMs, rssMiB } = await startOne(program, place, round === runs ? idleMs : 0);
      const known = figures.get(name) ?? { ms: [], cpuMs: [], rssMiB: 0 };
      // The first round fills the system's caches, and does not count.
      if (round > 0) figures.set(name, { ms: [...known.ms, ms], cpuMs: [...known.cpuMs, cpuMs], rssMiB });
    }
  }
  return Object.fromEntries(
    [...figures].map(([name, { ms, cpuMs, rssMiB }]) => [
      name,
      { firstEventMs: Math.round(median(ms)), cpuMs: median(cpuMs), idleRssMiB: rssMiB },
    ]),
  );
}

interface Figures {
  readonly ms: readonly number[];
  readonly cpuMs: readonly number[];
  readonly rssMiB: number;
}

async function startOne(program: string, place: Place, idleMs: number) {
  const delivered = join(place.output, "events.jsonl");
  const before = statSync(delivered).size;
  const [line = ""] = readFileSync(place.auditLog, "utf8").split("\n", 1);
  appendFileSync(place.auditLog, `${line}\n`);
  const began = performance.now();
  const child = spawn(process.execPath, [program], { env: envOf(place), stdio: "ignore" });
  const ended = once(child, "exit");
  try {
    while (statSync(delivered).size === before) {
      if (performance.now() - began > firstMsMax || child.exitCode !== null) {
        throw new Error(
          `${program} delivered nothing in ${firstMsMax / 1000} s; exit code ${child.exitCode}`,
        );
      }
      await sleep(2);
    }
    const ms = performance.now() - began;
    const cpuMs = cpuMsOf(child.pid ?? 0);
    await sleep(idleMs);
    return { ms, cpuMs, rssMiB: rssMiBOf(child.pid ?? 0) };
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}

function envOf({ auditLog, agent, output, allowFile, sinkPort }: Place): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    // As the unit and the image have it.
    MALLOC_ARENA_MAX: "2",
    MALLOC_TRIM_THRESHOLD_: "131072",
    FALCONRY_STATE_DIR: agent,
    FALCONRY_CLUSTER: "eu-1",
    FALCONRY_NODE: "control-plane-1",
    FALCONRY_ALLOW_FILE: allowFile,
    FALCONRY_VAR_AUDIT_LOG: auditLog,
    FALCONRY_VAR_OUTPUT_DIR: output,
    FALCONRY_VAR_SINK_PORT: String(sinkPort),
  };
}

/** Fields 14 and 15 of proc(5)'s stat, in hundredths of a second. */
function cpuMsOf(pid: number): number {
  const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const [user = 0, system = 0] = fields.split(" ").slice(11, 13).map(Number);
  return (user + system) * 10;
}

function rssMiBOf(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Math.round(Number(found?.[1]) / 1024);
}
