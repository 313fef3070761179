/** Tells many something, so many at a time: what they ask for and answer comes at the pace at which it is served. */
export interface Pace<T> {
  /** Tells each of them at once, or when it is its turn. */
  add(items: Iterable<T>): void;
  /** It was told before its turn, by another way. */
  told(item: T): void;
  /** It has taken what it was told: the next one has its turn. Nothing for one that was not told yet. */
  done(item: T): void;
  /** It has gone. */
  readonly forget: (item: T) => void;
  readonly waiting: number;
}

export interface PaceOptions<T> {
  /** How many are told and have not taken it yet. */
  readonly most: number;
  /** After this long one no longer holds up those that wait, whether it has taken it or not. */
  readonly msMax: number;
  /** Must not wait, and must not throw. */
  readonly tell: (item: T) => void;
  /** A clock that never goes back. */
  readonly steadyMs?: () => number;
}

export function createPace<T>(options: PaceOptions<T>): Pace<T> {
  const { most, msMax, tell, steadyMs = () => performance.now() } = options;
  const waiting = new Set<T>();
  /** Who was told, and when; told first stands first. */
  const told = new Map<T, number>();
  let timer: NodeJS.Timeout | undefined;

  function fill(): void {
    for (const item of waiting) {
      if (told.size >= most) break;
      waiting.delete(item);
      told.set(item, steadyMs());
      tell(item);
    }
    if (waiting.size > 0) timer ??= setTimeout(giveWay, nextMs());
  }
  /** Until the one that was told first gives way. */
  function nextMs(): number {
    const [first] = told.values();
    return Math.max(0, (first ?? 0) + msMax - steadyMs());
  }
  function giveWay(): void {
    timer = undefined;
    const before = steadyMs() - msMax;
    for (const [item, atMs] of told) {
      if (atMs > before) break;
      told.delete(item);
    }
    fill();
  }
  return {
    add: (items) => {
      for (const item of items) {
        // What it is told is what is true then, so one that was told and has not looked yet hears of this, too.
        if (told.has(item)) tell(item);
        else waiting.add(item);
      }
      fill();
    },
    told: (item) => {
      waiting.delete(item);
      told.delete(item);
      told.set(item, steadyMs());
    },
    done: (item) => {
      if (told.delete(item)) fill();
    },
    forget: (item) => {
      waiting.delete(item);
      if (told.delete(item)) fill();
    },
    get waiting() {
      return waiting.size;
    },
  };
}
