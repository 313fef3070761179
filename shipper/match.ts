import { RE2JS } from "re2js";

/** Which tags a filter or output takes. */
export type Match =
  | { readonly kind: "glob"; readonly pattern: string }
  | { readonly kind: "regex"; readonly pattern: string };

/**
 * The test for a match. Globs know `*` only, as in Fluent Bit. Regular expressions have RE2's syntax and linear time;
 * a pattern has to be checked with `regexProblem` first.
 */
export function compileMatch(match: Match): (tag: string) => boolean {
  if (match.kind === "glob") return (tag) => globMatches(match.pattern, tag);
  const regex = RE2JS.compile(match.pattern);
  return (tag) => regex.test(tag);
}

/** Why a regular expression cannot be used, or undefined. */
export function regexProblem(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether `text` fits `pattern`, where `*` stands for any run of characters. Linear in practice, quadratic at worst. */
export function globMatches(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      resume = t;
    } else if (p < pattern.length && pattern[p] === text[t]) {
      p++;
      t++;
    } else if (star !== -1) {
      p = star + 1;
      t = ++resume;
    } else return false;
  }
  while (p < pattern.length && pattern[p] === "*") p++;
  return p === pattern.length;
}
