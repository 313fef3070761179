import { utf8Text } from "./utf8.ts";

type Fold = (text: string) => string;

/** Whether a set has a character, given as it stands in the text and in the case that is compared. */
type Member = ((given: string, folded: string) => boolean) | "never";

type Token =
  | { readonly kind: "many" }
  | { readonly kind: "one" }
  | { readonly kind: "char"; readonly char: string }
  | { readonly kind: "set"; readonly isNegated: boolean; readonly members: readonly Member[] };

/**
 * Compiles a shell pattern into a test of a whole text, as fnmatch(3) without flags in the C locale: `*` also matches `/` and
 * a leading dot, and a character is one byte. Runs in time proportional to text times pattern at worst.
 */
export function compileGlob(pattern: string, ignoreCase: boolean): (text: string) => boolean {
  const fold: Fold = ignoreCase ? asciiLower : (text) => text;
  const tokens = tokenize(bytesOf(pattern), fold);
  if (tokens === undefined) return () => false;
  return (text) => {
    const given = bytesOf(text);
    return matches(tokens, given, fold(given));
  };
}

/** A text with one character for each byte. */
const bytesOf = (text: string): string => (isAscii(text) ? text : utf8Text(text));

const beyondAscii = /[\u0080-\uffff]/;

/** Whether a text is ASCII all through. */
export function isAscii(text: string): boolean {
  return !beyondAscii.test(text);
}

/** Lower case of A to Z alone: case is ASCII everywhere in the rule language. */
export function asciiLower(text: string): string {
  // Without other letters the built-in does the same, and many times faster.
  if (isAscii(text)) return text.toLowerCase();
  return text.replaceAll(/[A-Z]+/g, (upper) => upper.toLowerCase());
}

/** Upper case of a to z alone. */
export function asciiUpper(text: string): string {
  if (isAscii(text)) return text.toUpperCase();
  return text.replaceAll(/[a-z]+/g, (lower) => lower.toUpperCase());
}

function matches(tokens: readonly Token[], given: string, folded: string): boolean {
  let t = 0;
  let p = 0;
  let star = -1;
  let mark = 0;
  while (t < given.length) {
    const token = tokens[p];
    if (token?.kind === "many") {
      star = p++;
      mark = t;
    } else if (token !== undefined && matchesOne(token, given.charAt(t), folded.charAt(t))) {
      p++;
      t++;
    } else if (star >= 0) {
      // Only the last star needs another try: an earlier one could not help where it failed.
      p = star + 1;
      t = ++mark;
    } else return false;
  }
  while (tokens[p]?.kind === "many") p++;
  return p === tokens.length;
}

function matchesOne(token: Token, given: string, folded: string): boolean {
  switch (token.kind) {
    case "many":
    case "one":
      return true;
    case "char":
      return token.char === folded;
    case "set": {
      for (const member of token.members) {
        // What no text can match ends the look, even in a set of what must not be there.
        if (member === "never") return false;
        if (member(given, folded)) return !token.isNegated;
      }
      return token.isNegated;
    }
  }
}

/** Undefined when the pattern can match nothing, as when it ends in a lone backslash. */
function tokenize(pattern: string, fold: Fold): readonly Token[] | undefined {
  const tokens: Token[] = [];
  const deadEnds = new Set<number>();
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern.charAt(i);
    if (char === "*") {
      if (tokens.at(-1)?.kind !== "many") tokens.push({ kind: "many" });
    } else if (char === "?") tokens.push({ kind: "one" });
    else if (char === "\\") {
      if (++i === pattern.length) return undefined;
      tokens.push({ kind: "char", char: fold(pattern.charAt(i)) });
    } else {
      const set = char === "[" ? readSet(pattern, i + 1, fold, deadEnds) : "none";
      if (set === "broken") return undefined;
      tokens.push(set === "none" ? { kind: "char", char: fold(char) } : set.token);
      if (set !== "none") i = set.end;
    }
  }
  return tokens;
}

/**
 * A set that starts after `[`, and the place of its `]`; `none` when it never ends, so that the bracket stands for itself, and
 * `broken` when no text can match it. Places from which no end was found are remembered, so that many sets which never end
 * cost no more than one.
 */
function readSet(pattern: string, start: number, fold: Fold, deadEnds: Set<number>) {
  const isNegated = pattern.charAt(start) === "!" || pattern.charAt(start) === "^";
  let i = isNegated ? start + 1 : start;
  const members: Member[] = [];
  const passed: number[] = [];
  for (let isFirst = true; isFirst || pattern.charAt(i) !== "]"; isFirst = false) {
    if (i >= pattern.length || deadEnds.has(i)) {
      for (const place of passed) deadEnds.add(place);
      return "none";
    }
    if (!isFirst) passed.push(i);
    const found = readMember(pattern, i, fold);
    if (found === undefined) return "broken";
    members.push(found.member);
    i = found.end;
  }
  return { token: { kind: "set", isNegated, members } as const, end: i };
}

/** What stands in a set at an offset; undefined when it breaks the pattern. */
function readMember(pattern: string, at: number, fold: Fold): { member: Member; end: number } | undefined {
  const named = /\[:([a-y]*):\]/y;
  named.lastIndex = at;
  const name = named.exec(pattern)?.[1];
  if (name !== undefined) return { member: classes.get(name) ?? "never", end: at + name.length + 4 };
  if (pattern.startsWith("[=", at) && pattern.startsWith("=]", at + 3)) {
    const char = pattern.charAt(at + 2);
    return { member: (given) => given === char, end: at + 5 };
  }
  const from = readChar(pattern, at, fold);
  if (from === undefined) return undefined;
  if (pattern.charAt(from.end) !== "-" || pattern.charAt(from.end + 1) === "]") {
    const isSymbol = pattern.startsWith("[.", at) && from.char.length === 1;
    const member: Member = isSymbol ? (given) => given === from.char : between(from.char, from.char);
    return { member, end: from.end };
  }
  const to = from.end + 1 < pattern.length ? readChar(pattern, from.end + 1, fold) : undefined;
  if (to === undefined) return undefined;
  return { member: between(from.char, to.char), end: to.end };
}

/** One character of a set, maybe escaped or written as a collating symbol. */
function readChar(pattern: string, at: number, fold: Fold) {
  if (pattern.startsWith("[.", at)) {
    const end = pattern.indexOf(".]", at + 2);
    return end < 0 ? undefined : { char: pattern.slice(at + 2, end), end: end + 2 };
  }
  const place = pattern.charAt(at) === "\\" ? at + 1 : at;
  if (place === pattern.length) return undefined;
  return { char: fold(pattern.charAt(place)), end: place + 1 };
}

function between(low: string, high: string): Member {
  if (low.length !== 1 || high.length !== 1) return "never";
  return (_given, folded) => folded >= low && folded <= high;
}

const isIn =
  (letters: RegExp): Member =>
  (given) =>
    letters.test(given);

const classes: ReadonlyMap<string, Member> = new Map([
  ["alnum", isIn(/[a-zA-Z0-9]/)],
  ["alpha", isIn(/[a-zA-Z]/)],
  ["blank", isIn(/[ \t]/)],
  // oxlint-disable-next-line eslint/no-control-regex
  ["cntrl", isIn(/[\u0000-\u001f\u007f]/)],
  ["digit", isIn(/[0-9]/)],
  ["graph", isIn(/[!-~]/)],
  ["lower", isIn(/[a-z]/)],
  ["print", isIn(/[ -~]/)],
  ["punct", isIn(/[!-/:-@[-`{-~]/)],
  ["space", isIn(/[ \t\n\v\f\r]/)],
  ["upper", isIn(/[A-Z]/)],
  ["xdigit", isIn(/[0-9a-fA-F]/)],
]);
