/** Code points as pairs of a first and a last one, in order and with gaps between the pairs. */
export type CharSet = readonly number[];

export const pointMax = 0x10ffff;
export const newline = 10;

/** The set of all points of some pairs, which may overlap and stand in any order. */
export function charSet(pairs: readonly (readonly [number, number])[]): CharSet {
  const set: number[] = [];
  for (const [from, to] of [...pairs].sort(([a], [b]) => a - b)) {
    const end = set.at(-1);
    if (end === undefined || from > end + 1) set.push(from, to);
    else set[set.length - 1] = Math.max(end, to);
  }
  return set;
}

/** All points that are not in a set. */
export function negated(set: CharSet): CharSet {
  const others: number[] = [];
  let next = 0;
  for (const [from, to] of pairsOf(set)) {
    if (from > next) others.push(next, from - 1);
    next = to + 1;
  }
  if (next <= pointMax) others.push(next, pointMax);
  return others;
}

export function union(sets: readonly CharSet[]): CharSet {
  return charSet(sets.flatMap(pairsOf));
}

export function pairsOf(set: CharSet): readonly (readonly [number, number])[] {
  return Array.from({ length: set.length / 2 }, (_, i) => [set[2 * i] ?? 0, set[2 * i + 1] ?? 0]);
}

export function hasPoint(set: CharSet, point: number): boolean {
  let low = 0;
  let high = set.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((set[2 * middle + 1] ?? 0) < point) low = middle + 1;
    else high = middle;
  }
  return low < set.length / 2 && (set[2 * low] ?? 0) <= point;
}

/** The two parts of a set: the newline, and all else. */
export function splitNewline(set: CharSet): { readonly breaks: CharSet; readonly others: CharSet } {
  if (!hasPoint(set, newline)) return { breaks: [], others: set };
  const others = pairsOf(set).flatMap(([from, to]): (readonly [number, number])[] =>
    newline < from || newline > to
      ? [[from, to]]
      : [
          [from, newline - 1],
          [newline + 1, to],
        ],
  );
  return { breaks: [newline, newline], others: charSet(others.filter(([from, to]) => from <= to)) };
}

/** What `.` stands for. */
export const dot: CharSet = negated([newline, newline]);

const named: Readonly<Record<string, string>> = {
  alnum: "09AZaz",
  alpha: "AZaz",
  ascii: "\0\x7f",
  blank: "\t\t  ",
  cntrl: "\0\x1f\x7f\x7f",
  digit: "09",
  graph: "!~",
  lower: "az",
  print: " ~",
  punct: "!/:@[`{~",
  space: "\t\r  ",
  upper: "AZ",
  word: "09AZ__az",
  xdigit: "09AFaf",
};

/** The set of a name as in `[:alpha:]`, or all other points with a `^` before it; undefined for a name there is not. */
export function namedSet(name: string): CharSet | undefined {
  const plain = name.startsWith("^") ? name.slice(1) : name;
  if (!Object.hasOwn(named, plain)) return undefined;
  const set = Array.from(named[plain] ?? "", (char) => char.codePointAt(0) ?? 0);
  return plain === name ? set : negated(set);
}
