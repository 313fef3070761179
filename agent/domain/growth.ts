/** What a program counts at one moment. */
export interface Counted {
  /** When it began, ms since the epoch by its own clock; 0 when it does not say. */
  readonly beganMs: number;
  /** Another one means that everything is counted anew since the look before. */
  readonly epoch: string;
  readonly counts: ReadonlyMap<string, number>;
}

interface Known {
  readonly epoch: string;
  readonly last: ReadonlyMap<string, number>;
  readonly totals: ReadonlyMap<string, number>;
  readonly seenMs: number;
}

/** Who was not seen for so long and comes back is met for the first time again. */
const keptMs = 10 * 60_000;

/**
 * Counters of programs that come, go, miss a look and count anew, as counters that never go back. What a program has counted
 * before it was first met is not known to have come since, and is left out, unless it began while this watched.
 */
export class Growths {
  readonly #sinceMs: number;
  readonly #known = new Map<string, Known>();
  readonly #totals = new Map<string, number>();

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** Takes in what programs count, each by its name. `isCounted` says whether what came since the look before is added to the totals. */
  take(seen: ReadonlyMap<string, Counted>, isCounted: boolean, nowMs: number): void {
    for (const [name, each] of seen) this.#takeOne(name, each, isCounted, nowMs);
    for (const [name, { seenMs }] of this.#known) if (nowMs - seenMs > keptMs) this.#known.delete(name);
  }

  /** Of all programs, those that are gone among them. */
  total(count: string): number {
    return this.#totals.get(count) ?? 0;
  }

  /** Of one program. */
  totalOf(name: string, count: string): number {
    return this.#known.get(name)?.totals.get(count) ?? 0;
  }

  #takeOne(name: string, { beganMs, epoch, counts }: Counted, isCounted: boolean, nowMs: number): void {
    const known = this.#known.get(name);
    const isYoung = beganMs >= Math.max(this.#sinceMs, nowMs - keptMs);
    const totals = new Map(known?.totals);
    for (const [count, value] of counts) {
      const isAnew = known !== undefined && known.epoch !== epoch;
      const before = known === undefined || isAnew ? 0 : (known.last.get(count) ?? 0);
      // One below the last counts anew, too, whatever its epoch says.
      const grown = value < before ? value : value - before;
      if (!isCounted || (known === undefined && !isYoung)) continue;
      totals.set(count, (totals.get(count) ?? 0) + grown);
      this.#totals.set(count, this.total(count) + grown);
    }
    this.#known.set(name, { epoch, last: counts, totals, seenMs: nowMs });
  }
}

/**
 * Counts that may go back, as counts that go on. Each by itself: one that goes back says nothing of the others.
 */
export class Lasting<K extends string> {
  readonly #names: readonly K[];
  readonly #base = new Map<K, number>();
  #last: Readonly<Record<K, number>> | undefined;

  constructor(names: readonly K[]) {
    this.#names = names;
  }

  take(now: Readonly<Record<K, number>>): Readonly<Record<K, number>> {
    const last = this.#last;
    this.#last = now;
    const sums = this.#names.map((name) => {
      const before = last?.[name] ?? 0;
      const base = (this.#base.get(name) ?? 0) + (now[name] < before ? before : 0);
      this.#base.set(name, base);
      return [name, base + now[name]];
    });
    return Object.fromEntries(sums) as Record<K, number>;
  }
}
