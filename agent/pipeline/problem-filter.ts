import type { PipelineProblem } from "./messages.ts";

const quietMs = 10_000;
const knownMax = 1000;

/** Lets the same problem through once in ten seconds: a dead destination is news, each try is not. */
export class ProblemFilter {
  readonly #emit: (problem: PipelineProblem) => void;
  readonly #last = new Map<string, number>();

  constructor(emit: (problem: PipelineProblem) => void) {
    this.#emit = emit;
  }

  report(code: string, message: string, nowMs: number): void {
    // Digits differ from try to try, the problem does not.
    const key = `${code} ${message.replaceAll(/\d+/g, "0").slice(0, 200)}`;
    const last = this.#last.get(key);
    if (last !== undefined && nowMs - last < quietMs) return;
    if (this.#last.size >= knownMax) this.#last.clear();
    this.#last.set(key, nowMs);
    this.#emit({ code, message: message.slice(0, 4000) });
  }
}
