/**
 * Whether a path fits a shell pattern in the way in which Fluent Bit excludes files: `*` stands for any run of characters,
 * slashes among them, `?` for one, `[a-z]` and `[!a-z]` for one of a set. Linear in practice, quadratic at worst.
 */
export function shellMatches(pattern: string, path: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < path.length) {
    const step = pattern[p] === "*" ? 0 : stepLength(pattern, p, path.charAt(t));
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      resume = t;
    } else if (step > 0) {
      p += step;
      t++;
    } else if (star !== -1) {
      p = star + 1;
      t = ++resume;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** How much of the pattern one character uses up; 0 when it does not fit. */
function stepLength(pattern: string, at: number, character: string): number {
  const wanted = pattern[at];
  if (wanted === undefined) return 0;
  if (wanted === "?") return 1;
  if (wanted === "\\" && at + 1 < pattern.length) return pattern[at + 1] === character ? 2 : 0;
  if (wanted !== "[") return wanted === character ? 1 : 0;
  const isNegated = pattern[at + 1] === "!" || pattern[at + 1] === "^";
  const first = at + (isNegated ? 2 : 1);
  // A bracket that closes at once stands for itself, and one that never closes opens no set.
  const close = pattern.indexOf("]", first + 1);
  if (close === -1) return character === "[" ? 1 : 0;
  return isInSet(pattern.slice(first, close), character) !== isNegated ? close + 1 - at : 0;
}

function isInSet(set: string, character: string): boolean {
  for (let at = 0; at < set.length; at++) {
    const from = set.charAt(at);
    const isRange = set[at + 1] === "-" && at + 2 < set.length;
    const to = isRange ? set.charAt(at + 2) : from;
    if (character >= from && character <= to) return true;
    if (isRange) at += 2;
  }
  return false;
}
