import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { createAuditStream } from "../../cli/generator/stream.ts";
import { median, rounded } from "./figures.ts";

/** What one run of the pipeline process prints. */
export interface PipelineRun {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly events: number;
  readonly alerts: number;
  readonly bytes: number;
  readonly detectionUs: number;
  readonly rssMiB: number;
}

/**
 * Events per second through one agent's pipeline, from a file that is there to a file, with the starter rules; and how
 * fast `JSON.parse` alone reads the same lines in the same run. Medians over the rounds.
 */
export async function measurePipeline(events: number, rounds: number): Promise<object> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-bench-")));
  try {
    const log = join(dir, "audit.log");
    writeAuditLog(log, events);
    const parses = [];
    const runs: PipelineRun[] = [];
    for (let round = 0; round < rounds; round += 1) {
      parses.push(parseOnly(log));
      runs.push(await runPipeline(log, join(dir, `round-${round}`), events));
    }
    const eventsPerSecond = median(runs.map((r) => r.events / r.seconds));
    const parsesPerSecond = median(parses);
    return {
      eventsPerSecond: Math.round(eventsPerSecond),
      baselineJsonParsePerSecond: Math.round(parsesPerSecond),
      ratioToJsonParse: rounded(eventsPerSecond / parsesPerSecond, 3),
      cpuSecondsPerMillionEvents: rounded(median(runs.map((r) => (r.cpuSeconds / r.events) * 1e6)), 1),
      detectionUsPerEvent: rounded(median(runs.map((r) => r.detectionUs / r.events)), 1),
      meanEventBytes: Math.round((runs[0]?.bytes ?? 0) / events),
      alerts: runs[0]?.alerts,
      rssMiB: Math.round(median(runs.map((r) => r.rssMiB))),
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function writeAuditLog(file: string, events: number): void {
  const stream = createAuditStream({ seed: "bench", cluster: "bench", threatEvery: 40 });
  const lines: string[] = [];
  let nowMicros = 1_700_000_000_000_000;
  for (let i = 0; i < events; i += 1) {
    nowMicros += 1_000;
    lines.push(stream.next(nowMicros).line);
  }
  writeFileSync(file, `${lines.join("\n")}\n`);
}

/** Lines per second when a line is cut, decoded and parsed, and nothing else. */
function parseOnly(file: string): number {
  const bytes = readFileSync(file);
  const startedAt = performance.now();
  let lines = 0;
  for (let start = 0, end = bytes.indexOf(10); end !== -1; start = end + 1, end = bytes.indexOf(10, start)) {
    JSON.parse(bytes.toString("utf8", start, end));
    lines += 1;
  }
  return lines / ((performance.now() - startedAt) / 1000);
}

async function runPipeline(log: string, dir: string, events: number): Promise<PipelineRun> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "pipeline-process.ts"), log, dir, String(events)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const code = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const out = await text(child.stdout);
  if ((await code) !== 0) throw new Error("The pipeline process failed, see above");
  return JSON.parse(out) as PipelineRun;
}
