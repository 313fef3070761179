import type { Frame, Predicate } from "./compile.ts";
import { shortened } from "./ingest.ts";
import { StepsProblem } from "./regex/regex.ts";

/** Finds out whether rules match, and keeps what there is to say of those of which it would take too long. */
export class Undecided {
  private problems: string[];

  constructor() {
    this.problems = [];
  }

  /** Whether a rule matches. One that can not be decided does not, and the others are not held up by it. */
  matches(rule: string, matches: Predicate, frame: Frame): boolean {
    try {
      return matches(frame);
    } catch (error) {
      if (!(error instanceof StepsProblem)) throw error;
      this.problems.push(`rule '${rule}' was not decided: ${error.message}`);
      return false;
    }
  }

  /** The problems since it was asked last. */
  take(): readonly string[] {
    if (this.problems.length === 0) return none;
    const problems = shortened(this.problems);
    this.problems = [];
    return problems;
  }
}

const none: readonly never[] = [];
