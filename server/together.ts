import { isDatabaseAway } from "./store/pool.ts";

export interface TogetherOptions<I, O> {
  /** Answers in the order of what it was given. */
  readonly work: (items: readonly I[]) => Promise<readonly O[]>;
  /** Two of the same key never go together: the later one waits for its own turn. */
  readonly keyOf: (item: I) => string;
  readonly itemsMax: number;
}

/**
 * Does at once what many callers ask for at the same time. The first goes without delay; who comes while it is under way goes
 * with the others afterwards. So an idle server waits for nothing, and a busy one makes one query of hundreds. What fails for
 * all is tried for each alone, so that one bad item harms nobody else; not while the database is away.
 */
export function together<I, O>(options: TogetherOptions<I, O>): (item: I) => Promise<O> {
  const { work, keyOf, itemsMax } = options;
  type Waiting = PromiseWithResolvers<O> & { readonly item: I };
  let waiting: Waiting[] = [];
  let isBusy = false;

  function takeNext(): Waiting[] {
    const next = new Map<string, Waiting>();
    const later: Waiting[] = [];
    for (const each of waiting) {
      const key = keyOf(each.item);
      if (next.size < itemsMax && !next.has(key)) next.set(key, each);
      else later.push(each);
    }
    waiting = later;
    return [...next.values()];
  }
  async function carryOut(group: readonly Waiting[]): Promise<void> {
    try {
      const done = await work(group.map(({ item }) => item));
      for (const [i, each] of group.entries()) each.resolve(done[i] as O);
    } catch (error) {
      const isAlone = group.length === 1;
      if (isAlone || isDatabaseAway(error)) for (const each of group) each.reject(error);
      else for (const each of group) await carryOut([each]);
    }
  }
  async function run(): Promise<void> {
    isBusy = true;
    while (waiting.length > 0) await carryOut(takeNext());
    isBusy = false;
  }
  return (item) => {
    const mine = { ...Promise.withResolvers<O>(), item };
    waiting.push(mine);
    // `carryOut` gives every failure to who asked.
    if (!isBusy) void run();
    return mine.promise;
  };
}
