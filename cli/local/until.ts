import { Failure, exitCodes } from "../failure.ts";

/** A wait that did not end well: names what was waited for, how long, and what was seen last. */
export class WaitError extends Failure {
  constructor(what: string, ms: number, seen: string) {
    super(exitCodes.refused, `Waited ${Math.round(ms / 1000)} s in vain for ${what}; last seen: ${seen}`);
    this.name = "WaitError";
  }
}

const pollMs = 100;

/**
 * Asks again and again until the probe answers with a value. Until then it answers with what it saw instead, in words,
 * for the error at the deadline. A probe that throws counts as not yet, unless it throws a failure: that one is final.
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  probe: () => Promise<{ done: T } | { seen: string }>,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  let seen = "nothing";
  for (;;) {
    try {
      const result = await probe();
      if ("done" in result) return result.done;
      seen = result.seen;
    } catch (error) {
      if (error instanceof Failure) throw error;
      seen = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() > deadline) throw new WaitError(what, deadlineMs, seen);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
