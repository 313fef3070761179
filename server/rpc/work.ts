/** How many calls of one route there may be. */
export interface RouteBounds {
  /** What a call counts in all; 0 for one that only waits for news. */
  readonly weight: number;
  readonly inWorkMax: number;
  /** Beyond those in work so many wait for their turn. */
  readonly inLineMax: number;
  /** What one caller has of them at most: what is beyond those in work waits, and lets others pass. */
  readonly ofCaller?: { readonly key: string; readonly inWorkMax: number; readonly inLineMax: number };
}

/** How a call came by its turn: it has begun, there is no room in line, its turn did not come in time, or its caller left. */
export type Turn = "begun" | "busy" | "late" | "gone";

/** The calls in work, in all and by route, and those in line. There are as many routes as methods. */
export interface Work {
  of(route: string): number;
  /** Begins a call, now or when those before it in line have begun. It is in work until the signal is aborted. */
  begin(route: string, bounds: RouteBounds, signal: AbortSignal): Promise<Turn>;
  readonly total: number;
  readonly inLine: number;
}

export interface WorkOptions {
  /** The longest that a call waits for its turn. */
  readonly lineMsMax: number;
  /** Called for each call that begins to wait. */
  readonly onLinedUp: (route: string) => void;
}

export function createWork(options: WorkOptions): Work {
  const byRoute = new Map<string, number>();
  const [byCaller, lineByCaller] = [createCallers(), createCallers()];
  const lines = createLines(options);
  let total = 0;
  const of = (route: string) => byRoute.get(route) ?? 0;

  const mayWork = (route: string, ofCaller: RouteBounds["ofCaller"]) =>
    byCaller.hasRoom(route, ofCaller?.key, ofCaller?.inWorkMax);

  function start(route: string, given: Given, signal: AbortSignal): void {
    total += given.weight;
    byRoute.set(route, of(route) + 1);
    byCaller.add(route, given.ofCaller?.key, 1);
    // The signal of a call is aborted at its end, however it ends.
    signal.addEventListener("abort", () => end(route, given), { once: true });
  }
  function end(route: string, given: Given): void {
    total -= given.weight;
    byRoute.set(route, of(route) - 1);
    byCaller.add(route, given.ofCaller?.key, -1);
    // Who waits although there is room waits for calls of its own.
    const next = lines.first(route, ({ ofCaller }) => mayWork(route, ofCaller));
    if (next === undefined) return;
    // Begun here and not by who waits, so that nobody comes in between.
    start(route, next, next.signal);
    next.leave("begun");
  }
  return {
    of,
    begin: (route, { inWorkMax, inLineMax, ...given }, signal) => {
      if (signal.aborted) return Promise.resolve("gone");
      if (of(route) < inWorkMax && mayWork(route, given.ofCaller)) {
        start(route, given, signal);
        return Promise.resolve("begun");
      }
      const { key, inLineMax: ofCallerMax } = given.ofCaller ?? {};
      const isRoom = lines.length(route) < inLineMax && lineByCaller.hasRoom(route, key, ofCallerMax);
      if (!isRoom) return Promise.resolve("busy");
      lineByCaller.add(route, key, 1);
      return lines.join(route, given, signal, () => lineByCaller.add(route, key, -1));
    },
    get total() {
      return total;
    },
    get inLine() {
      return lines.total;
    },
  };
}

type Given = Pick<RouteBounds, "weight" | "ofCaller">;

/** Calls by route and caller, as long as there are any. */
function createCallers() {
  const counts = new Map<string, number>();
  const keyOf = (route: string, key: string) => `${route} ${key}`;
  return {
    hasRoom: (route: string, caller: string | undefined, max = Number.POSITIVE_INFINITY): boolean =>
      caller === undefined || (counts.get(keyOf(route, caller)) ?? 0) < max,
    add: (route: string, caller: string | undefined, change: number): void => {
      if (caller === undefined) return;
      const key = keyOf(route, caller);
      const count = (counts.get(key) ?? 0) + change;
      if (count === 0) counts.delete(key);
      else counts.set(key, count);
    },
  };
}

interface InLine extends Given {
  readonly signal: AbortSignal;
  readonly leave: (turn: Turn) => void;
}

function createLines({ lineMsMax, onLinedUp }: WorkOptions) {
  /** By route, who waits longest first. */
  const lines = new Map<string, Set<InLine>>();
  let total = 0;
  return {
    length: (route: string) => lines.get(route)?.size ?? 0,
    first: (route: string, may: (each: InLine) => boolean): InLine | undefined => {
      for (const each of lines.get(route) ?? []) if (may(each)) return each;
      return undefined;
    },
    join: (route: string, given: Given, signal: AbortSignal, onLeft: () => void): Promise<Turn> => {
      const line = lines.get(route) ?? new Set();
      lines.set(route, line);
      const { promise, resolve } = Promise.withResolvers<Turn>();
      const gone = () => {
        mine.leave("gone");
      };
      const timer = setTimeout(() => mine.leave("late"), lineMsMax);
      const leave = (turn: Turn) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", gone);
        if (line.delete(mine)) {
          total -= 1;
          onLeft();
        }
        resolve(turn);
      };
      const mine: InLine = { ...given, signal, leave };
      signal.addEventListener("abort", gone, { once: true });
      line.add(mine);
      total += 1;
      onLinedUp(route);
      return promise;
    },
    get total() {
      return total;
    },
  };
}
