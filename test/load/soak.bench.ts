import { spawn } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { percentile, rounded } from "./figures.ts";
import { pipelineCases } from "./pipeline-cases.ts";
import { exitOf, startPipeline, withSinks } from "./pipeline-load.ts";
import type { PipelineSample } from "./pipeline-process.ts";

/**
 * `soak [--minutes N] [--per-second N] [--case NAME]`: one agent's pipeline behind a log that is written at a steady rate and
 * rotated, for an hour unless told. Memory and queues are looked at every ten seconds; at the end the destinations must have as
 * many records as were written.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: "string", default: "60" },
      "per-second": { type: "string", default: "12000" },
      case: { type: "string", default: "http+es+detect+fleet" },
    },
  });
  const one = pipelineCases.find(({ name }) => name === values.case);
  if (one === undefined) throw new Error(`There is no case "${values.case}"`);
  const records = Math.round(Number(values.minutes) * 60 * Number(values["per-second"]));
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-soak-")));
  try {
    const log = join(dir, "audit.log");
    writeFileSync(log, "");
    return await withSinks(async (ports, counts) => {
      const pipeline = startPipeline(one, { log, dir: join(dir, "agent"), records, ports, sampleMs: 10_000 });
      const writer = spawn(
        process.execPath,
        [join(import.meta.dirname, "log-writer-process.ts"), log, String(records), values["per-second"]],
        { stdio: "inherit" },
      );
      if ((await exitOf(writer)) !== 0) throw new Error("The writer failed, see above");
      const writtenAt = performance.now();
      const { run: outcome, samples } = await pipeline;
      return {
        input: {
          minutes: Number(values.minutes),
          recordsPerSecond: Number(values["per-second"]),
          case: one.name,
        },
        records: { written: records, read: outcome.records, parked: outcome.parked, ...(await counts()) },
        alerts: outcome.alerts,
        cpuSecondsPerMillion: rounded((outcome.cpuSeconds / records) * 1e6, 1),
        rssMiB: memoryOf(samples),
        queuedRecords: {
          median: queued(samples, 0.5),
          p99: queued(samples, 0.99),
          most: queued(samples, 1),
        },
        secondsToTheEnd: rounded((performance.now() - writtenAt) / 1000, 1),
      };
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** After a warm-up of a twentieth, the mean of each tenth: flat means that the last is like the first. */
function memoryOf(samples: readonly PipelineSample[]): object {
  const warm = samples.slice(Math.ceil(samples.length / 20)).map(({ rssMiB }) => rssMiB);
  const tenth = Math.max(1, Math.floor(warm.length / 10));
  const means = Array.from({ length: Math.min(10, warm.length) }, (_, i) => {
    const part = warm.slice(i * tenth, (i + 1) * tenth);
    return Math.round(part.reduce((sum, rss) => sum + rss, 0) / part.length);
  });
  return { tenths: means, most: Math.round(Math.max(...warm)) };
}

function queued(samples: readonly PipelineSample[], share: number): number {
  return percentile(
    samples.map((sample) => sample.queued),
    share,
  );
}
