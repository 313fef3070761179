export interface SharedOptions {
  /** How long an answer serves others once it is there, in milliseconds. */
  readonly keptMs: number;
  /** Answers that are kept or on their way; beyond them the oldest is no longer shared. */
  readonly answersMax: number;
  /** Milliseconds. */
  readonly now: () => number;
}

interface Answer<T> {
  readonly coming: Promise<T>;
  /** When it came; absent while it is on its way. */
  cameMs?: number;
}

/**
 * Gives all who ask the same within a while the same answer, worked out once: who comes while it is on its way waits for it.
 * An error goes to those who wait for it and is not kept.
 */
export function shared<T>({ keptMs, answersMax, now }: SharedOptions) {
  /** Who was asked for first stands first. */
  const answers = new Map<string, Answer<T>>();

  function forgetOld(): void {
    const nowMs = now();
    for (const [key, { cameMs }] of answers) {
      // A clock that was set back keeps nothing for longer.
      if (cameMs !== undefined && Math.abs(nowMs - cameMs) >= keptMs) answers.delete(key);
    }
  }
  function begin(key: string, ask: () => Promise<T>): Promise<T> {
    const [oldest] = answers.keys();
    if (answers.size >= answersMax && oldest !== undefined) answers.delete(oldest);
    const mine: Answer<T> = { coming: ask() };
    answers.set(key, mine);
    mine.coming.then(
      () => (mine.cameMs = now()),
      // Whoever asked hears of the error.
      () => answers.get(key) === mine && answers.delete(key),
    );
    return mine.coming;
  }
  return (key: string, ask: () => Promise<T>): Promise<T> => {
    forgetOld();
    return answers.get(key)?.coming ?? begin(key, ask);
  };
}
