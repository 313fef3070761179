import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { configOf } from "./pipeline-cases.ts";
import type { PipelineCase, SinkPorts } from "./pipeline-cases.ts";
import { exitOf } from "./pipeline-load.ts";

/** What a run of the real Fluent Bit took. */
export interface FluentBitRun {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMiB: number;
}

/** A port of its own metrics; below the range from which the system hands out ports. */
const metricsPort = 20_202;
const ticksPerSecond = 100;
const deadlineMs = 300_000;

/** Runs the real Fluent Bit over a log with the same config, until its outputs say that they have every record. */
export async function runFluentBit(
  binary: string,
  one: PipelineCase,
  where: { readonly log: string; readonly dir: string; readonly ports: SinkPorts },
  records: number,
): Promise<FluentBitRun> {
  const outDir = join(where.dir, "out");
  mkdirSync(outDir, { recursive: true });
  const config = join(where.dir, "fluent-bit.yaml");
  const service = ["flush: 1", "http_server: on", "http_listen: 127.0.0.1", `http_port: ${metricsPort}`];
  writeFileSync(config, configOf(one, { log: where.log, outDir, ports: where.ports }, service));
  const startedAt = performance.now();
  const child = spawn(binary, ["-q", "-c", config], { stdio: ["ignore", "ignore", "inherit"] });
  const exited = exitOf(child);
  try {
    while ((await delivered()) < records) {
      if (child.exitCode !== null) throw new Error(`${binary} ended with code ${child.exitCode}, see above`);
      if (performance.now() - startedAt > deadlineMs) {
        throw new Error(`${binary} did not deliver all records`);
      }
      await delay(20);
    }
    return { seconds: (performance.now() - startedAt) / 1000, ...spentBy(child.pid ?? 0) };
  } finally {
    child.kill();
    await exited;
    rmSync(where.dir, { recursive: true });
  }
}

/** Records that the slowest of its outputs has delivered. */
async function delivered(): Promise<number> {
  try {
    const response = await fetch(`http://127.0.0.1:${metricsPort}/api/v1/metrics`);
    const { output } = (await response.json()) as { output: Record<string, { proc_records: number }> };
    return Math.min(...Object.values(output).map(({ proc_records }) => proc_records));
  } catch (error) {
    // It does not listen yet.
    if (error instanceof TypeError) return 0;
    throw error;
  }
}

function spentBy(pid: number): { readonly cpuSeconds: number; readonly rssMiB: number } {
  // The name of the process stands in parentheses and may hold blanks.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  const cpuSeconds = (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  const high = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return { cpuSeconds, rssMiB: Number(high) / 1024 };
}
