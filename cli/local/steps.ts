import { interrupted } from "../failure.ts";
import type { Screen } from "../screen.ts";

/** One line of the report. */
export interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly detail: string;
}

/** The detail of a step that is done, and leaves somebody something to do. */
export interface Warned {
  readonly warning: string;
}

/** Runs steps one after another and reports each in a line as it ends. */
export interface Steps {
  /** Runs one step; its answer is the detail. Rethrows what it throws, after reporting it. */
  run(name: string, work: () => Promise<string | Warned>): Promise<void>;
  /** Runs the step that cleans up: also after an interrupt. */
  last(name: string, work: () => Promise<string | Warned>): Promise<void>;
  readonly results: readonly StepResult[];
}

const nameWidth = 30;

/** With a signal, no step begins once it is aborted, and one that ends for it is no failure. */
export function createSteps(screen: Pick<Screen, "talk">, signal?: AbortSignal): Steps {
  const results: StepResult[] = [];
  const run = async (name: string, work: () => Promise<string | Warned>, until?: AbortSignal) => {
    const isEnding = () => until?.aborted === true;
    if (isEnding()) throw interrupted(`before ${name}`);
    const startedAt = performance.now();
    const end = (word: "ok  " | "warn" | "FAIL" | "stop", detail: string) => {
      const seconds = Math.round((performance.now() - startedAt) / 10) / 100;
      results.push({ name, ok: word === "ok  " || word === "warn", seconds, detail });
      screen.talk(`${word} ${name.padEnd(nameWidth)} ${seconds.toFixed(1).padStart(5)} s  ${detail}\n`);
    };
    try {
      const detail = await work();
      if (typeof detail === "string") end("ok  ", detail);
      else end("warn", detail.warning);
    } catch (error) {
      if (isEnding()) end("stop", "interrupted");
      else end("FAIL", error instanceof Error ? error.message : String(error));
      throw error;
    }
  };
  return {
    results,
    run: (name, work) => run(name, work, signal),
    last: (name, work) => run(name, work),
  };
}
