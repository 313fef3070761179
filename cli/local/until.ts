import { setTimeout as pause } from "node:timers/promises";
import { Failure, exitCodes, interrupted } from "../failure.ts";

/** A wait that did not end well: names what was waited for, how long, and what was seen last. */
export class WaitError extends Failure {
  constructor(what: string, ms: number, seen: string) {
    super(exitCodes.refused, `Waited ${Math.round(ms / 1000)} s in vain for ${what}; last seen: ${seen}`);
    this.name = "WaitError";
  }
}

/** What is asked again and again: the value, or what was seen instead of it, in words. */
export type Probe<T> = () => Promise<{ done: T } | { seen: string }>;

/** How to wait. */
export interface Waiting {
  readonly pollMs?: number;
  /** Ends the wait, with a failure that says so. */
  readonly signal?: AbortSignal;
}

/** What is on this machine may be asked often. */
const localPollMs = 100;

/**
 * Asks again and again until the probe answers with a value; what it saw last is in the error at the deadline. A probe
 * that throws counts as not yet, unless it throws a failure: that one is final.
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  probe: Probe<T>,
  { pollMs = localPollMs, signal }: Waiting = {},
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  let seen = "nothing";
  for (;;) {
    if (signal?.aborted === true) throw interrupted(`while waiting for ${what}`);
    try {
      const result = await probe();
      if ("done" in result) return result.done;
      seen = result.seen;
    } catch (error) {
      if (error instanceof Failure) throw error;
      seen = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() > deadline) throw new WaitError(what, deadlineMs, seen);
    // Cut short by whoever interrupts.
    await pause(pollMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}
