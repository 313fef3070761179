import { RE2JS } from "re2js";

/** Letters of a pattern that somebody may have run here. */
export const patternLettersMax = 1_024;
/** RE2's measure of a pattern. A test costs at most so many steps for each letter of the text. */
const patternSizeMax = 300;

/** What a pattern costs, or why it may not run here. */
export type PatternVerdict =
  | { readonly kind: "fits"; readonly size: number }
  | { readonly kind: "long" }
  /** It repeats so much that each test would take too long. */
  | { readonly kind: "large" }
  | { readonly kind: "broken"; readonly why: string };

/** Judges a pattern before it runs. What it repeats by numbers is counted first, because compiling unrolls it before there is a size. */
export function judgePattern(pattern: string): PatternVerdict {
  if (pattern.length > patternLettersMax) return { kind: "long" };
  if (unrolledSize(pattern) > patternSizeMax) return { kind: "large" };
  try {
    const size = RE2JS.compile(pattern, RE2JS.DOTALL).programSize();
    return size > patternSizeMax ? { kind: "large" } : { kind: "fits", size };
  } catch (error) {
    return { kind: "broken", why: error instanceof Error ? error.message : String(error) };
  }
}

const tokens = /\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\{(\d{1,9})(?:(,)(\d{0,9}))?\}|[()]|[^]/gs;

/** At most the parts of a pattern when everything that is repeated by numbers is written out; more parts are more instructions. */
function unrolledSize(pattern: string): number {
  /** Groups that are open: what each holds so far, and its last part, which a repetition is about. */
  const open = [{ sum: 0, last: 0 }];
  for (const [token, from = "", comma, to = ""] of pattern.matchAll(tokens)) {
    const top = open.at(-1);
    if (top === undefined) return 0;
    if (token === "(") open.push({ sum: 0, last: 0 });
    else if (token === ")") {
      open.pop();
      const outer = open.at(-1);
      if (outer !== undefined) add(outer, top.sum + 1);
    } else if (from !== "") {
      const times = Math.max(Number(from), comma === undefined || to === "" ? 0 : Number(to), 1);
      const grown = top.last * times;
      top.sum += grown - top.last;
      top.last = grown;
    } else if (!"*+?|^$".includes(token)) add(top, 1);
  }
  return open.reduce((sum, group) => sum + group.sum, 0);
}

function add(group: { sum: number; last: number }, size: number): void {
  group.sum += size;
  group.last = size;
}
