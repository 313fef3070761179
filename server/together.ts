import { isDatabaseAway } from "./store/pool.ts";

export interface TogetherOptions<I, O> {
  /** Answers in the order of what it was given. */
  readonly work: (items: readonly I[]) => Promise<readonly O[]>;
  /** Two of the same key never go together: the later one waits for its own turn. */
  readonly keyOf: (item: I) => string;
  readonly itemsMax: number;
  /** While many ask, a group begins no sooner than this after the one before, so that it is larger. Nobody waits when left out. */
  readonly restMs?: number;
}

/**
 * Does at once what many callers ask for at the same time. The first goes without delay; who comes while it is under way goes
 * with the others afterwards. So an idle server waits for nothing, and a busy one makes one query of hundreds. What fails for
 * all is tried for each alone, so that one bad item harms nobody else; not while the database is away. A statement costs as much by itself as
 * dozens of those that it is for, so that who comes while another is under way may be made to wait a little for more.
 */
export function together<I, O>(options: TogetherOptions<I, O>): (item: I) => Promise<O> {
  const { work, keyOf, itemsMax, restMs = 0 } = options;
  type Waiting = PromiseWithResolvers<O> & { readonly item: I };
  let waiting: Waiting[] = [];
  let isBusy = false;
  let isCrowded = false;

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
      // Before anybody is answered: who asks again at once is no crowd.
      isCrowded = waiting.length > 0;
      for (const [i, each] of group.entries()) each.resolve(done[i] as O);
    } catch (error) {
      isCrowded = waiting.length > 0;
      const isAlone = group.length === 1;
      if (isAlone || isDatabaseAway(error)) for (const each of group) each.reject(error);
      else for (const each of group) await carryOut([each]);
    }
  }
  async function run(): Promise<void> {
    isBusy = true;
    while (waiting.length > 0) {
      const rest = restMs > 0 ? new Promise((resolve) => setTimeout(resolve, restMs)) : undefined;
      await carryOut(takeNext());
      if (isCrowded && waiting.length < itemsMax) await rest;
    }
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
