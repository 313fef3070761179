import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createDetector, type Detector, type RuleSet, type RulesFile } from "#engine";
import { type EventLines, largeEvents, mustLoad } from "./engine-input.ts";
import { median, rounded } from "./figures.ts";

/** Time on the clock and on the processors, in milliseconds; processors count all threads, garbage collection included. */
interface Spent {
  readonly wallMs: number;
  readonly cpuMs: number;
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function timed(work: () => void): Spent {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  work();
  const wallMs = performance.now() - begun;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

/** Reads every line and gives how many alerts they raised. */
export function detectAll(detector: Detector, { bytes, starts, ends }: EventLines): number {
  let alerts = 0;
  for (let i = 0; i < starts.length; i++) {
    alerts += detector.detectBytes(bytes, starts[i] ?? 0, ends[i] ?? 0).alerts.length;
  }
  return alerts;
}

/** What one side left behind must not be cleared away on the time of the other. */
function timedApart(work: () => void): Spent {
  collectGarbage();
  return timed(work);
}

function figuresOf(events: number, spent: readonly Spent[]) {
  const cpuMs = median(spent.map((one) => one.cpuMs));
  return {
    eventsPerSecond: Math.round((events * 1000) / median(spent.map((one) => one.wallMs))),
    eventsPerCpuSecond: Math.round((events * 1000) / cpuMs),
    cpuSecondsPerMillion: rounded((cpuMs * 1000) / events, 3),
  };
}

/**
 * The rate of the engine beside that of JSON.parse alone over the same lines, in turns. JSON.parse is given strings that are
 * made already, and once more with making them, as a program must that reads a file.
 */
export function measureRate(ruleset: RuleSet, lines: EventLines, runs: number): object {
  const events = lines.starts.length;
  const texts = lines.starts.map((start, i) => lines.bytes.toString("utf8", start, lines.ends[i]));
  const detector = createDetector(ruleset, { hostname: "bench" });
  let alerts = 0;
  const parse: Spent[] = [];
  const decodeAndParse: Spent[] = [];
  const detect: Spent[] = [];
  const round = (): void => {
    parse.push(timedApart(() => texts.forEach((text) => JSON.parse(text))));
    decodeAndParse.push(
      timedApart(() =>
        lines.starts.forEach((start, i) => JSON.parse(lines.bytes.toString("utf8", start, lines.ends[i]))),
      ),
    );
    detect.push(timedApart(() => (alerts = detectAll(detector, lines))));
  };
  round();
  round();
  for (const spent of [parse, decodeAndParse, detect]) spent.length = 0;
  for (let i = 0; i < runs; i++) round();
  const ratio = (base: readonly Spent[]): number =>
    rounded(median(base.map((one, i) => one.wallMs / (detect[i]?.wallMs ?? Number.NaN))), 2);
  return {
    rules: ruleset.rules.filter(({ enabled }) => enabled).length,
    alerts,
    parseOnly: figuresOf(events, parse),
    decodeAndParse: figuresOf(events, decodeAndParse),
    engine: figuresOf(events, detect),
    ratioToParseOnly: ratio(parse),
    ratioToDecodeAndParse: ratio(decodeAndParse),
  };
}

/** What more rules cost: processor time of many over that of few, in turns, each warm. */
export function measureGrowth(few: RuleSet, many: RuleSet, lines: EventLines, runs: number): object {
  const detectors = [few, many].map((ruleset) => createDetector(ruleset, { hostname: "bench" }));
  const spent = detectors.map((): Spent[] => []);
  for (let i = 0; i <= runs; i++) {
    detectors.forEach((detector, which) => {
      const one = timedApart(() => detectAll(detector, lines));
      if (i > 0) spent[which]?.push(one);
    });
  }
  const [fewSpent = [], manySpent = []] = spent;
  const events = lines.starts.length;
  return {
    rules: [few.rules.length, many.rules.length],
    few: figuresOf(events, fewSpent),
    many: figuresOf(events, manySpent),
    growth: rounded(median(fewSpent.map((one, i) => (manySpent[i]?.wallMs ?? Number.NaN) / one.wallMs)), 2),
  };
}

/** Milliseconds from the text of rules to a detector, and for its first event, each time from scratch. */
export function measureCompile(files: readonly RulesFile[], lines: EventLines, runs: number): object {
  const load: number[] = [];
  const create: number[] = [];
  const first: number[] = [];
  let rules = 0;
  for (let i = 0; i < runs; i++) {
    let ruleset: RuleSet | undefined;
    load.push(timed(() => (ruleset = mustLoad(files))).wallMs);
    rules = ruleset?.rules.length ?? 0;
    let detector: Detector | undefined;
    create.push(timed(() => (detector = ruleset && createDetector(ruleset, { hostname: "bench" }))).wallMs);
    first.push(
      timed(() => detector?.detectBytes(lines.bytes, lines.starts[0] ?? 0, lines.ends[0] ?? 0)).wallMs,
    );
  }
  const total = load.map((ms, i) => ms + (create[i] ?? 0));
  return {
    rules,
    loadMs: rounded(median(load), 1),
    createMs: rounded(median(create), 1),
    totalMs: rounded(median(total), 1),
    firstRunTotalMs: rounded(total[0] ?? Number.NaN, 1),
    firstEventMs: rounded(median(first), 2),
  };
}

/**
 * The longest that one event of more than a megabyte took, over all runs: the first one of its kind included. On the clock of
 * a machine that others use, a thread also waits for its turn; the processor time of the thread leaves that out.
 */
export function measureLarge(ruleset: RuleSet, runs: number): object {
  const events = [...largeEvents()].map(([name, bytes]) => {
    const detector = createDetector(ruleset, { hostname: "bench", ruleMatching: "all" });
    const wall: number[] = [];
    const cpu = Array.from({ length: runs }, () => {
      collectGarbage();
      const before = process.threadCpuUsage();
      wall.push(timed(() => detector.detectBytes(bytes, 0, bytes.length)).wallMs);
      const { user, system } = process.threadCpuUsage(before);
      return (user + system) / 1000;
    });
    return {
      event: name,
      bytes: bytes.length,
      medianMs: rounded(median(wall), 1),
      worstMs: rounded(Math.max(...wall), 1),
      worstThreadCpuMs: rounded(Math.max(...cpu), 1),
    };
  });
  const worst = (of: (event: (typeof events)[number]) => number): number => Math.max(...events.map(of));
  return {
    rules: ruleset.rules.length,
    worstMs: worst(({ worstMs }) => worstMs),
    worstThreadCpuMs: worst(({ worstThreadCpuMs }) => worstThreadCpuMs),
    events,
  };
}

/** Memory before, amid and after millions of events. */
export function measureMemory(ruleset: RuleSet, lines: EventLines, millions: number): object {
  const detector = createDetector(ruleset, { hostname: "bench" });
  const mebibytes = (): object => {
    collectGarbage();
    const { rss, heapUsed } = process.memoryUsage();
    return { rss: rounded(rss / 2 ** 20, 1), heapUsed: rounded(heapUsed / 2 ** 20, 1) };
  };
  detectAll(detector, lines);
  const start = mebibytes();
  const passes = Math.max(1, Math.round((millions * 1_000_000) / lines.starts.length));
  let half: object = start;
  for (let i = 0; i < passes; i++) {
    if (i === Math.floor(passes / 2)) half = mebibytes();
    detectAll(detector, lines);
  }
  return {
    events: passes * lines.starts.length,
    mebibytesAfterCollection: { start, half, end: mebibytes() },
  };
}
