import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { createAuditStream } from "../../cli/generator/stream.ts";
import { starterPack } from "./engine-input.ts";
import { configOf } from "./pipeline-cases.ts";
import type { PipelineCase, SinkPorts } from "./pipeline-cases.ts";
import type { PipelineSample, PipelineTask } from "./pipeline-process.ts";

/** What one run of the pipeline process prints. */
export interface PipelineRun {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly records: number;
  readonly alerts: number;
  readonly bytes: number;
  readonly detectionUs: number;
  readonly rssMiB: number;
  readonly parked: number;
}

/** Writes an audit log of so many records, 1 in `threatEvery` a planted threat, and gives its size in bytes. */
export function writeAuditLog(file: string, records: number, threatEvery: number): number {
  const stream = createAuditStream({ seed: "bench", cluster: "bench", threatEvery });
  const fd = openSync(file, "w");
  let nowMicros = 1_700_000_000_000_000;
  for (let written = 0; written < records; written += 1000) {
    const lines = Array.from({ length: Math.min(1000, records - written) }, () => {
      nowMicros += 1000;
      return `${stream.next(nowMicros).line}\n`;
    });
    writeSync(fd, lines.join(""));
  }
  closeSync(fd);
  return statSync(file).size;
}

/** Lines per second when a line is cut, decoded and parsed, and nothing else. */
export function parseOnly(file: string): number {
  const bytes = readFileSync(file);
  const startedAt = performance.now();
  let lines = 0;
  for (let start = 0, end = bytes.indexOf(10); end !== -1; start = end + 1, end = bytes.indexOf(10, start)) {
    JSON.parse(bytes.toString("utf8", start, end));
    lines += 1;
  }
  return lines / ((performance.now() - startedAt) / 1000);
}

/** Records that each sink has taken. */
export type SinkCounts = () => Promise<{ readonly http: number; readonly es: number }>;

/** The sinks, for as long as `use` takes. */
export async function withSinks<T>(use: (ports: SinkPorts, counts: SinkCounts) => Promise<T>): Promise<T> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "sink-process.ts")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    const ports = JSON.parse(line) as SinkPorts;
    const counts = async () => (await (await fetch(`http://127.0.0.1:${ports.http}/`)).json()) as never;
    return await use(ports, counts);
  } finally {
    child.kill();
  }
}

interface PipelineWork extends Pick<PipelineTask, "log" | "dir" | "records" | "sampleMs"> {
  readonly ports: SinkPorts;
}

/** Runs a case over a log until all its records are delivered, in a process of its own and with a fresh state. */
export async function startPipeline(
  one: PipelineCase,
  { ports, ...work }: PipelineWork,
): Promise<{ readonly run: PipelineRun; readonly samples: readonly PipelineSample[] }> {
  mkdirSync(work.dir);
  const task: PipelineTask = {
    ...work,
    shipper: configOf(one, { log: work.log, outDir: join(work.dir, "out"), ports }),
    ports: [ports.http, ports.es],
    ...(one.ownOutputs.length === 0 ? {} : { rules: starterPack }),
  };
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "pipeline-process.ts"), JSON.stringify(task)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exited = exitOf(child);
  const out = await text(child.stdout);
  if ((await exited) !== 0) throw new Error(`The pipeline process of case ${one.name} failed, see above`);
  rmSync(work.dir, { recursive: true });
  const lines = out.trim().split("\n");
  const run = JSON.parse(lines.at(-1) ?? "") as PipelineRun;
  return { run, samples: lines.slice(0, -1).map((line) => JSON.parse(line) as PipelineSample) };
}

export function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("exit", resolve));
}
