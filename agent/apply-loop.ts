import type { Logger } from "pino";
import { problemOf } from "./agent-error.ts";
import { retryDelayMs } from "./domain/backoff.ts";

/** How a step ended: there may be more to do, there is nothing to do, or time may heal what failed. */
export type StepEnd = "again" | "rest" | "retry";

export interface LoopPorts {
  readonly log: Logger;
  /** Ends the loop, with its timers. */
  readonly signal: AbortSignal;
  /** Told what keeps the steps from working, such as a full disk; undefined when they work. */
  readonly onTrouble: (trouble: { readonly code: string; readonly message: string } | undefined) => void;
}

/** Runs steps one at a time until one rests. */
export interface Loop {
  /** Look again, now or after the step in work. */
  nudge(): void;
}

/** A nudge during a step makes it look once more; a retry comes by itself, sooner or later, also after a throw. */
export function createLoop(step: () => Promise<StepEnd>, { log, signal, onTrouble }: LoopPorts): Loop {
  let busy = false;
  let again = false;
  let failures = 0;
  let retry: NodeJS.Timeout | undefined;

  const retryLater = () => {
    failures += 1;
    clearTimeout(retry);
    if (!signal.aborted) retry = setTimeout(nudge, retryDelayMs(failures, Math.random()));
  };
  const work = async (): Promise<void> => {
    busy = true;
    try {
      do {
        again = false;
        let end: StepEnd = "again";
        while (end === "again" && !signal.aborted) end = await step();
        onTrouble(undefined);
        if (end === "retry") retryLater();
        else failures = 0;
      } while (again && !signal.aborted);
    } catch (error) {
      onTrouble(problemOf(error, "apply/failed"));
      log.error({ err: error }, "apply failed in an unforeseen way; will look again");
      retryLater();
    } finally {
      busy = false;
    }
  };
  function nudge(): void {
    if (signal.aborted) return;
    if (busy) again = true;
    else void work();
  }
  signal.addEventListener("abort", () => clearTimeout(retry), { once: true });
  return { nudge };
}
