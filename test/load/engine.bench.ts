import { readFileSync } from "node:fs";
import {
  generatedEvents,
  linesOf,
  mustLoad,
  readRules,
  repeated,
  starterPack,
  variedRules,
} from "./engine-input.ts";
import { measureCompile, measureGrowth, measureLarge, measureMemory, measureRate } from "./engine-load.ts";
import { percentile } from "./figures.ts";

/** Lines that one run reads at least, and that are generated where no file is given. */
const warmCount = 40_000;

/**
 * `engine [--rules FILE...] [--events FILE] [--millions N] [--runs N]`: the detection engine on one thread, from the bytes of
 * JSON lines to alerts, beside JSON.parse alone over the same lines. Without `--events`, audit events are generated, 1 % of
 * them threats; without `--rules`, the starter pack is run. Figures are medians of `--runs`, 5 unless told.
 */
export async function run(args: readonly string[]): Promise<object> {
  const options = optionsOf(args);
  const [events] = options.get("--events") ?? [];
  const runs = Number(options.get("--runs")?.[0] ?? 5);
  const files = readRules(options.get("--rules") ?? [starterPack]);
  const given = linesOf(events === undefined ? generatedEvents(warmCount) : readFileSync(events));
  const lines = repeated(given, warmCount);
  const sizes = given.starts.map((start, i) => (given.ends[i] ?? 0) - start);
  const ruleset = mustLoad(files);
  const many = variedRules(files, 500);
  return {
    input: {
      events: events ?? "generated, 1 in 100 a planted threat",
      lines: sizes.length,
      linesInOneRun: lines.starts.length,
      meanBytes: Math.round(sizes.reduce((sum, size) => sum + size, 0) / sizes.length),
      medianBytes: percentile(sizes, 0.5),
      runs,
    },
    rate: measureRate(ruleset, lines, runs),
    growth: measureGrowth(mustLoad(variedRules(files, 10)), mustLoad(many), lines, runs),
    compile: measureCompile(many, lines, runs),
    large: [measureLarge(ruleset, runs), measureLarge(mustLoad(many), runs)],
    memory: measureMemory(ruleset, lines, Number(options.get("--millions")?.[0] ?? 1)),
  };
}

function optionsOf(args: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const options = new Map<string, string[]>();
  let values: string[] | undefined;
  for (const arg of args) {
    if (!arg.startsWith("--")) {
      if (values === undefined) {
        throw new Error(`'${arg}' belongs to no option; write --rules or --events before it`);
      }
      values.push(arg);
      continue;
    }
    if (!["--rules", "--events", "--millions", "--runs"].includes(arg)) {
      throw new Error(`There is no option '${arg}'`);
    }
    values = [];
    options.set(arg, values);
  }
  return options;
}
