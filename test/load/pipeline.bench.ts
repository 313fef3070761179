import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median, rounded } from "./figures.ts";
import { runFluentBit } from "./fluent-bit-load.ts";
import type { FluentBitRun } from "./fluent-bit-load.ts";
import { pipelineCases } from "./pipeline-cases.ts";
import type { PipelineCase, SinkPorts } from "./pipeline-cases.ts";
import { parseOnly, startPipeline, withSinks, writeAuditLog } from "./pipeline-load.ts";
import type { PipelineRun } from "./pipeline-load.ts";

/**
 * `pipeline [--records N] [--rounds N] [--cases a,b]`: one agent's pipeline from a log that is there to its outputs, each case
 * in a process of its own, in turns with `JSON.parse` alone over the same lines and, when `FLUENT_BIT_BIN` names one, with a
 * real Fluent Bit that runs the same config. Figures are medians of the rounds.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      records: { type: "string", default: "300000" },
      rounds: { type: "string", default: "5" },
      cases: { type: "string", default: pipelineCases.map(({ name }) => name).join(",") },
    },
  });
  const records = Number(values.records);
  const rounds = Number(values.rounds);
  const cases = values.cases.split(",").map(caseOf);
  const binary = process.env["FLUENT_BIT_BIN"];
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-bench-")));
  try {
    const log = join(dir, "audit.log");
    const bytes = writeAuditLog(log, records, 100);
    const figures = await withSinks((ports) => measure(cases, { log, dir, records, rounds, ports, binary }));
    return {
      input: {
        records,
        rounds,
        meanBytes: Math.round(bytes / records),
        audit: "generated, 1 in 100 a planted threat",
        fluentBit:
          binary === undefined ? "not there: the ratios are to figures that were recorded once" : binary,
      },
      ...figures,
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function caseOf(name: string): PipelineCase {
  const found = pipelineCases.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = pipelineCases.map((one) => one.name).join(", ");
  throw new Error(`There is no case "${name}". Cases: ${names}`);
}

interface Where {
  readonly log: string;
  readonly dir: string;
  readonly records: number;
  readonly rounds: number;
  readonly ports: SinkPorts;
  readonly binary: string | undefined;
}

async function measure(cases: readonly PipelineCase[], where: Where): Promise<object> {
  const parses: number[] = [];
  const ours = new Map(cases.map((one) => [one, [] as PipelineRun[]]));
  const theirs = new Map(cases.map((one) => [one, [] as FluentBitRun[]]));
  const { log, dir, records, ports, binary } = where;
  for (let round = 0; round < where.rounds; round += 1) {
    parses.push(parseOnly(log));
    for (const one of cases) {
      process.stderr.write(`round ${round + 1} of ${where.rounds}: ${one.name}\n`);
      const ran = await startPipeline(one, { log, dir: join(dir, "ours"), records, ports });
      ours.get(one)?.push(ran.run);
      if (binary === undefined) continue;
      theirs
        .get(one)
        ?.push(await runFluentBit(binary, one, { log, dir: join(dir, "theirs"), ports }, records));
    }
  }
  const parsesPerSecond = median(parses);
  return {
    baselineJsonParsePerSecond: Math.round(parsesPerSecond),
    cases: cases.map((one) =>
      figuresOf(one, records, ours.get(one) ?? [], theirs.get(one) ?? [], parsesPerSecond),
    ),
  };
}

function figuresOf(
  one: PipelineCase,
  records: number,
  ours: readonly PipelineRun[],
  theirs: readonly FluentBitRun[],
  parsesPerSecond: number,
): object {
  const perMillion = (runs: readonly { readonly cpuSeconds: number }[]) =>
    median(runs.map(({ cpuSeconds }) => (cpuSeconds / records) * 1e6));
  const perSecond = (runs: readonly { readonly seconds: number }[]) =>
    median(runs.map(({ seconds }) => records / seconds));
  const cpu = perMillion(ours);
  const measured = theirs.length > 0;
  const fluentBit = measured
    ? { cpuSecondsPerMillion: perMillion(theirs), recordsPerSecond: perSecond(theirs) }
    : one.fluentBit;
  return {
    case: one.name,
    recordsPerSecond: Math.round(perSecond(ours)),
    ratioToJsonParse: rounded(perSecond(ours) / parsesPerSecond, 3),
    cpuSecondsPerMillion: rounded(cpu, 1),
    cpuTarget: one.cpuTarget,
    detectionUsPerRecord: rounded(median(ours.map((r) => r.detectionUs / records)), 1),
    alerts: ours[0]?.alerts,
    parked: Math.max(...ours.map(({ parked }) => parked)),
    rssMiB: Math.round(median(ours.map((r) => r.rssMiB))),
    ...(fluentBit === undefined
      ? {}
      : {
          fluentBit: {
            source: measured ? "measured in this run" : "5.1.1, recorded once on 2 cores",
            cpuSecondsPerMillion: rounded(fluentBit.cpuSecondsPerMillion, 1),
            recordsPerSecond: Math.round(fluentBit.recordsPerSecond),
            cpuRatio: rounded(fluentBit.cpuSecondsPerMillion / cpu, 2),
            rateRatio: rounded(perSecond(ours) / fluentBit.recordsPerSecond, 2),
          },
        }),
  };
}
