import { RE2JS } from "re2js";

import type { Matcher } from "./ast.ts";
import { judgePattern, patternLettersMax } from "../pattern.ts";
import { Problem } from "./problem.ts";

/** Patterns see so much of a value or a line. What is longer was made to be long. */
export const testedLettersMax = 8_192;

/** The size of a pattern that may run here. */
export function checkPattern(pattern: string, at: number): number {
  const verdict = judgePattern(pattern);
  switch (verdict.kind) {
    case "fits":
      return verdict.size;
    case "long":
      throw new Problem(
        `a regexp may have ${patternLettersMax} letters at most, and this one has ${pattern.length}`,
        at,
      );
    case "large":
      throw new Problem("the regexp repeats too much: each line would take too long", at);
    case "broken":
      throw new Problem(`error parsing regexp: ${verdict.why}`, at);
  }
}

/** A pattern that was checked. Its time grows with the length of the text and its own size, and both have a bound. */
export function compilePattern(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern);
  // Whether, and not where: that is found by one table of states, where a place takes several times as long.
  return (text) => compiled.test(text.slice(0, testedLettersMax));
}

/** Whether a value is one that a matcher asks for. A label that is not there is an empty value. */
export function compileMatcher({ op, value }: Matcher): (of: string) => boolean {
  switch (op) {
    case "=":
      return (of) => of === value;
    case "!=":
      return (of) => of !== value;
    case "=~":
    case "!~": {
      const holds = compilePattern(`^(?s:${value})$`);
      const wanted = op === "=~";
      return (of) => holds(of) === wanted;
    }
  }
}

/** Whether streams without the label are chosen, too. */
export function isEmptyMatch(matcher: Matcher): boolean {
  return compileMatcher(matcher)("");
}
