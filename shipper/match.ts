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
  return compileRegex(match.pattern);
}

/**
 * The test for a regular expression anywhere in a text, in linear time. As in Fluent Bit, slashes around a pattern do not
 * belong to it, and letters behind the second one are options: `/delete/i`; `m` lets a dot stand for a line break, too.
 */
export function compileRegex(pattern: string): (text: string) => boolean {
  const regex = compiled(pattern);
  return (text) => regex.test(text);
}

function compiled(pattern: string): RE2JS {
  const [, inner, options = ""] = /^\/(.*)\/([imo]*)$/s.exec(pattern) ?? [];
  let flags = options.includes("i") ? RE2JS.CASE_INSENSITIVE : 0;
  if (options.includes("m")) flags |= RE2JS.DOTALL;
  return RE2JS.compile(inner ?? pattern, flags);
}

/** A text costs as many steps as it has letters, times the size of the expression at worst. */
const regexLengthMax = 2000;
const regexSizeMax = 5000;

/** Why a regular expression cannot be used, or undefined. */
export function regexProblem(pattern: string): string | undefined {
  if (pattern.length > regexLengthMax) return `it is longer than ${regexLengthMax} characters`;
  try {
    const size = compiled(pattern).programSize();
    return size > regexSizeMax ? "it repeats too much: each text would take too long" : undefined;
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
