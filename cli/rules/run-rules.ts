import type { Alert, Detection, EventStream } from "#engine";

/** What a run came to. */
export interface RunStats {
  readonly events: number;
  readonly alerts: number;
  /** Lines and events that could not be evaluated. */
  readonly problems: number;
  readonly seconds: number;
  /** Alerts by priority and by rule, the most frequent first. */
  readonly byPriority: readonly (readonly [string, number])[];
  readonly byRule: readonly (readonly [string, number])[];
}

export interface RunSinks {
  /** The alerts of one batch; awaited before the next batch is read. */
  readonly alerts: (alerts: readonly Alert[]) => Promise<void>;
  readonly problem: (problem: string) => void;
}

/** Puts lines of events through a stream, block by block, and counts. `now` gives milliseconds. */
export async function runRules(
  stream: EventStream,
  blocks: AsyncIterable<Uint8Array>,
  sinks: RunSinks,
  now: () => number,
): Promise<RunStats> {
  const start = now();
  const tally = new Tally(sinks);
  for await (const block of blocks) {
    takeLines(stream, block, tally);
    await tally.handOver();
  }
  tally.add(stream.end());
  await tally.handOver();
  const { events, alerts, problems } = tally;
  const seconds = (now() - start) / 1000;
  const [byPriority, byRule] = [most(tally.byPriority), most(tally.byRule)];
  return { events, alerts, problems, seconds, byPriority, byRule };
}

function takeLines(stream: EventStream, bytes: Uint8Array, tally: Tally): void {
  for (let from = 0; from <= bytes.length;) {
    const end = bytes.indexOf(10, from);
    const to = end < 0 ? bytes.length : end;
    if (to > from) tally.add(stream.takeLine(bytes, from, to));
    from = to + 1;
  }
}

class Tally {
  events: number;
  alerts: number;
  problems: number;
  readonly byPriority: Map<string, number>;
  readonly byRule: Map<string, number>;
  private readonly sinks: RunSinks;
  private waiting: Alert[];

  constructor(sinks: RunSinks) {
    this.sinks = sinks;
    this.events = 0;
    this.alerts = 0;
    this.problems = 0;
    this.byPriority = new Map();
    this.byRule = new Map();
    this.waiting = [];
  }

  add({ alerts, events, problems }: Detection): void {
    this.events += events;
    for (const problem of problems) {
      this.problems++;
      this.sinks.problem(problem);
    }
    for (const alert of alerts) {
      const { priority, rule } = alert;
      this.alerts++;
      this.byPriority.set(priority, (this.byPriority.get(priority) ?? 0) + 1);
      this.byRule.set(rule, (this.byRule.get(rule) ?? 0) + 1);
      this.waiting.push(alert);
    }
  }

  async handOver(): Promise<void> {
    const alerts = this.waiting;
    this.waiting = [];
    if (alerts.length > 0) await this.sinks.alerts(alerts);
  }
}

function most(counts: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  return [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
}
