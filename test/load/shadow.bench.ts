import { createDetector, type Detector, type RuleSet } from "#engine";
import { Shadow } from "../../agent/pipeline/shadow.ts";
import {
  type EventLines,
  generatedEvents,
  linesOf,
  mustLoad,
  readRules,
  repeated,
  starterPack,
  variedRules,
} from "./engine-input.ts";
import { detectAll } from "./engine-load.ts";
import { median, rounded } from "./figures.ts";

const linesCount = 40_000;

/**
 * `shadow [--runs N]`: what a candidate costs that is evaluated beside the rules that run, over the same events, as a ratio
 * to the cost of those rules alone. In turns on one thread; each ratio is of one turn, and the median counts. Half of the
 * candidate's rules are others than those that run, so that the two share no more than real ones do.
 */
export function run(args: readonly string[]): object {
  const at = args.indexOf("--runs");
  const runs = at < 0 ? 7 : Number(args[at + 1]);
  const files = readRules([starterPack]);
  const lines = repeated(linesOf(generatedEvents(linesCount)), linesCount);
  const few = mustLoad(files);
  const many = mustLoad(variedRules(files, 200));
  return {
    input: { linesInOneRun: lines.starts.length, runs },
    same: measureShadow(few, few, lines, runs),
    other: measureShadow(few, otherHalf(few), lines, runs),
    many: measureShadow(many, otherHalf(many), lines, runs),
  };
}

/** Every second rule means something else: it asks for one thing more, and its place in the order is another. */
function otherHalf(ruleset: RuleSet): RuleSet {
  const { compiled } = ruleset;
  const changed = compiled.map((rule, i) => {
    const before = compiled[(i + 1) % compiled.length]?.condition ?? rule.condition;
    return i % 2 === 0
      ? rule
      : { ...rule, condition: { kind: "or", parts: [rule.condition, before], at: 0 } as const };
  });
  return { ...ruleset, compiled: changed };
}

interface Figures {
  readonly rules: number;
  readonly aloneNsPerEvent: number;
  readonly secondNsPerEvent: number;
  /** What the second evaluation costs, as a part of the first. */
  readonly ratio: number;
  readonly eventsPerRun: number;
}

function measureShadow(running: RuleSet, candidate: RuleSet, lines: EventLines, runs: number): Figures {
  const alone = createDetector(running, { hostname: "bench" });
  const both = createDetector(running, { hostname: "bench" });
  // As an agent does it, clocks and counts included, but for the share of the time that it keeps to.
  const clocks = { now: () => Date.now(), steady: () => performance.now() };
  const options = { hostname: "bench", untilMs: Number.MAX_SAFE_INTEGER, share: Number.MAX_SAFE_INTEGER };
  const shadow = new Shadow(candidate, both, { ...options, ...clocks });
  const spent = [alone, both].map((): number[] => []);
  for (let i = -2; i < runs; i++) {
    [alone, both].forEach((detector, which) => {
      const ms = cpuOf(detector, lines);
      if (i >= 0) spent[which]?.push(ms);
    });
  }
  const [first = [], second = []] = spent;
  const more = second.map((ms, i) => ms - (first[i] ?? Number.NaN));
  const perEvent = (ms: readonly number[]) => Math.round((median(ms) * 1e6) / lines.starts.length);
  return {
    rules: candidate.compiled.length,
    aloneNsPerEvent: perEvent(first),
    secondNsPerEvent: perEvent(more),
    ratio: rounded(median(more.map((ms, i) => ms / (first[i] ?? Number.NaN))), 3),
    eventsPerRun: shadow.figures().events / (runs + 2),
  };
}

function cpuOf(detector: Detector, lines: EventLines): number {
  const before = process.threadCpuUsage();
  detectAll(detector, lines);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}
