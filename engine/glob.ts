type Token =
  | { readonly kind: "many" }
  | { readonly kind: "one" }
  | { readonly kind: "char"; readonly char: string }
  | { readonly kind: "set"; readonly negated: boolean; readonly has: (char: string) => boolean };

/**
 * Compiles a shell pattern into a test of a whole text, as fnmatch(3) without flags: `*` also matches `/` and
 * a leading dot. Runs in time proportional to text times pattern at worst.
 */
export function compileGlob(pattern: string, ignoreCase: boolean): (text: string) => boolean {
  const fold = ignoreCase ? asciiLower : (text: string): string => text;
  const tokens = tokenize(Array.from(fold(pattern)));
  if (tokens === undefined) return () => false;
  return (text) => matches(tokens, Array.from(fold(text)));
}

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

function matches(tokens: readonly Token[], text: readonly string[]): boolean {
  let t = 0;
  let p = 0;
  let star = -1;
  let mark = 0;
  while (t < text.length) {
    const token = tokens[p];
    if (token?.kind === "many") {
      star = p++;
      mark = t;
    } else if (token !== undefined && matchesOne(token, text[t] ?? "")) {
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

function matchesOne(token: Token, char: string): boolean {
  switch (token.kind) {
    case "many":
    case "one":
      return true;
    case "char":
      return token.char === char;
    case "set":
      return token.has(char) !== token.negated;
  }
}

/** Undefined when the pattern can match nothing: it ends in a lone backslash. */
function tokenize(pattern: readonly string[]): readonly Token[] | undefined {
  const tokens: Token[] = [];
  const deadEnds = new Set<number>();
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] ?? "";
    if (char === "*") {
      if (tokens.at(-1)?.kind !== "many") tokens.push({ kind: "many" });
    } else if (char === "?") tokens.push({ kind: "one" });
    else if (char === "\\") {
      const next = pattern[++i];
      if (next === undefined) return undefined;
      tokens.push({ kind: "char", char: next });
    } else {
      const set = char === "[" ? readSet(pattern, i + 1, deadEnds) : undefined;
      tokens.push(set?.token ?? { kind: "char", char });
      if (set !== undefined) i = set.end;
    }
  }
  return tokens;
}

/**
 * A set that starts after `[`, and the place of its `]`; undefined when it never ends. Places from which no end was
 * found are remembered, so that many sets which never end cost no more than one.
 */
function readSet(
  pattern: readonly string[],
  start: number,
  deadEnds: Set<number>,
): { token: Token; end: number } | undefined {
  const negated = pattern[start] === "!" || pattern[start] === "^";
  let i = negated ? start + 1 : start;
  const tests: ((char: string) => boolean)[] = [];
  const passed: number[] = [];
  for (let isFirst = true; isFirst || pattern[i] !== "]"; isFirst = false) {
    if (i >= pattern.length || deadEnds.has(i)) {
      for (const place of passed) deadEnds.add(place);
      return undefined;
    }
    if (!isFirst) passed.push(i);
    const named = namedClass(pattern, i);
    if (named !== undefined) {
      tests.push(named.test);
      i = named.end;
      continue;
    }
    const from = pattern[i] === "\\" ? pattern[++i] : pattern[i];
    if (from === undefined) return undefined;
    i++;
    let to = from;
    if (pattern[i] === "-" && pattern[i + 1] !== "]" && pattern[i + 1] !== undefined) {
      i++;
      to = (pattern[i] === "\\" ? pattern[++i] : pattern[i]) ?? from;
      i++;
    }
    const [low, high] = [from.codePointAt(0) ?? 0, to.codePointAt(0) ?? 0];
    tests.push((char) => {
      const point = char.codePointAt(0) ?? 0;
      return point >= low && point <= high;
    });
  }
  return { token: { kind: "set", negated, has: (char) => tests.some((test) => test(char)) }, end: i };
}

const classes: ReadonlyMap<string, RegExp> = new Map([
  ["alnum", /^[a-zA-Z0-9]$/],
  ["alpha", /^[a-zA-Z]$/],
  ["blank", /^[ \t]$/],
  ["digit", /^[0-9]$/],
  ["lower", /^[a-z]$/],
  ["punct", /^[!-/:-@[-`{-~]$/],
  ["space", /^[ \t\n\v\f\r]$/],
  ["upper", /^[A-Z]$/],
  ["xdigit", /^[0-9a-fA-F]$/],
]);

function namedClass(pattern: readonly string[], at: number) {
  if (pattern[at] !== "[" || pattern[at + 1] !== ":") return undefined;
  const end = pattern.indexOf(":", at + 2);
  if (end < 0 || pattern[end + 1] !== "]") return undefined;
  const test = classes.get(pattern.slice(at + 2, end).join(""));
  return test === undefined ? undefined : { test: (char: string) => test.test(char), end: end + 2 };
}
