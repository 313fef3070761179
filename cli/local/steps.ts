import type { Screen } from "../screen.ts";

/** One line of the report. */
export interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly detail: string;
}

/** Runs steps one after another and reports each in a line as it ends. */
export interface Steps {
  /** Runs one step; its answer is the detail. Rethrows what it throws, after reporting it. */
  run(name: string, work: () => Promise<string>): Promise<void>;
  readonly results: readonly StepResult[];
}

const nameWidth = 30;

export function createSteps(screen: Pick<Screen, "talk">): Steps {
  const results: StepResult[] = [];
  return {
    results,
    async run(name, work) {
      const startedAt = performance.now();
      const end = (ok: boolean, detail: string) => {
        const seconds = Math.round((performance.now() - startedAt) / 10) / 100;
        results.push({ name, ok, seconds, detail });
        screen.talk(
          `${ok ? "ok  " : "FAIL"} ${name.padEnd(nameWidth)} ${seconds.toFixed(1).padStart(5)} s  ${detail}\n`,
        );
      };
      try {
        end(true, await work());
      } catch (error) {
        end(false, error instanceof Error ? error.message : String(error));
        throw error;
      }
    },
  };
}
