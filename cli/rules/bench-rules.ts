import { createEventStream, type DetectorOptions, type EventStream, keepRules, type RuleSet } from "#engine";

/** How fast rules are on the given events, on this machine. */
export interface BenchResult {
  readonly events: number;
  readonly bytes: number;
  /** Medians over the rounds. */
  readonly eventsPerSecond: number;
  readonly megabytesPerSecond: number;
  /** The same events with no rule at all, and through JSON.parse only. */
  readonly withoutRules: number;
  readonly jsonParse: number;
  readonly alerts: number;
  /** The most expensive first. */
  readonly rules: readonly RuleCost[];
}

export interface RuleCost {
  readonly rule: string;
  /** Nanoseconds that an event takes longer with this rule alone than with none; never below zero. */
  readonly nanosecondsPerEvent: number;
  /** Events of the sample that it matches. */
  readonly matches: number;
}

const roundsOfAll = 5;
const roundsOfOne = 3;
/** One rule is measured on this many payloads, taken evenly from all. */
const sampleMax = 2000;

/**
 * Measures all rules together, then each on its own against none. What rules share, such as reading the verb, counts for
 * each of them, so the costs add up to more than the whole. `now` gives milliseconds with fractions.
 */
export function benchRules(
  ruleset: RuleSet,
  payloads: readonly string[],
  options: DetectorOptions,
  now: () => number,
): BenchResult {
  const time = (work: (line: Buffer) => void, over: readonly Buffer[]): number => {
    const start = now();
    for (const line of over) work(line);
    return Math.max(1e-6, (now() - start) / 1000);
  };
  const timeOf = (stream: EventStream, over: readonly Buffer[], rounds: number): readonly number[] =>
    Array.from({ length: rounds }, () => time((line) => stream.takeLine(line, 0, line.length), over));
  // As they come from disk: one line each, in UTF-8.
  const lines = payloads.map((payload) => Buffer.from(payload.replaceAll("\n", " ")));
  const none = createEventStream(
    keepRules(ruleset, () => false),
    options,
  );
  const all = createEventStream(ruleset, options);
  const { events, alerts } = count(all, lines);
  const seconds = median(timeOf(all, lines, roundsOfAll));
  const bytes = lines.reduce((sum, line) => sum + line.length, 0);
  const parse = Array.from({ length: roundsOfAll }, () => time(tryParse, lines));

  const step = Math.max(1, lines.length / sampleMax);
  const length = Math.min(lines.length, sampleMax);
  const sample = Array.from({ length }, (_, index) => lines[Math.floor(index * step)] ?? Buffer.alloc(0));
  const sampled = Math.max(1, count(none, sample).events);
  const base = Math.min(...timeOf(none, sample, roundsOfAll));
  const enabled = ruleset.rules.filter((rule) => rule.enabled);
  const rules = enabled.map(({ name }): RuleCost => {
    const one = createEventStream(
      keepRules(ruleset, (rule) => rule.name === name),
      options,
    );
    const matches = count(one, sample).alerts;
    const cost = Math.min(...timeOf(one, sample, roundsOfOne)) - base;
    return { rule: name, nanosecondsPerEvent: Math.max(0, Math.round((cost / sampled) * 1e9)), matches };
  });
  return {
    events,
    bytes,
    eventsPerSecond: Math.round(events / seconds),
    megabytesPerSecond: bytes / seconds / 1e6,
    withoutRules: Math.round(events / median(timeOf(none, lines, roundsOfAll))),
    jsonParse: Math.round(events / median(parse)),
    alerts,
    rules: rules.toSorted((a, b) => b.nanosecondsPerEvent - a.nanosecondsPerEvent),
  };
}

/** Also warms the stream up. */
function count(stream: EventStream, lines: readonly Buffer[]): { events: number; alerts: number } {
  let events = 0;
  let alerts = 0;
  for (const line of lines) {
    const detection = stream.takeLine(line, 0, line.length);
    events += detection.events;
    alerts += detection.alerts.length;
  }
  return { events, alerts };
}

function tryParse(line: Buffer): void {
  try {
    JSON.parse(line.toString());
  } catch {
    // A line that is no JSON takes its time too.
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
