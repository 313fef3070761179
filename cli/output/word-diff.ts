/** A place where two texts differ: the words that went and the words that came, after the same words before them. */
export interface Hunk {
  readonly context: string;
  readonly before: string;
  readonly after: string;
}

/** Beyond this many words between the first and the last difference, everything between counts as different. */
const wordsMax = 2000;
const contextWords = 4;

/** The differences of two texts word by word, with a few words of what stands before each. */
export function diffWords(before: string, after: string): readonly Hunk[] {
  const old = before.split(" ");
  const now = after.split(" ");
  const least = Math.min(old.length, now.length);
  let start = 0;
  while (start < least && old[start] === now[start]) start++;
  let end = 0;
  while (end < least - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  const middleOld = old.slice(start, old.length - end);
  const middleNow = now.slice(start, now.length - end);
  const isLarge = middleOld.length > wordsMax || middleNow.length > wordsMax;
  const pairs = isLarge ? [] : commonWords(middleOld, middleNow);
  const hunks: Hunk[] = [];
  let at = { old: 0, now: 0 };
  for (const pair of [...pairs, { old: middleOld.length, now: middleNow.length }]) {
    const gone = middleOld.slice(at.old, pair.old);
    const come = middleNow.slice(at.now, pair.now);
    if (gone.length + come.length > 0) {
      const place = start + at.old;
      const context = old.slice(Math.max(0, place - contextWords), place);
      hunks.push({ context: context.join(" "), before: gone.join(" "), after: come.join(" ") });
    }
    at = { old: pair.old + 1, now: pair.now + 1 };
  }
  return hunks;
}

/** Places of a longest common subsequence. */
function commonWords(
  old: readonly string[],
  now: readonly string[],
): readonly { readonly old: number; readonly now: number }[] {
  const width = now.length + 1;
  const lengths = new Uint16Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        old[i] === now[j]
          ? (lengths[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(lengths[(i + 1) * width + j] ?? 0, lengths[i * width + j + 1] ?? 0);
    }
  }
  const pairs: { old: number; now: number }[] = [];
  for (let i = 0, j = 0; i < old.length && j < now.length;) {
    if (old[i] === now[j]) pairs.push({ old: i++, now: j++ });
    else if ((lengths[(i + 1) * width + j] ?? 0) >= (lengths[i * width + j + 1] ?? 0)) i++;
    else j++;
  }
  return pairs;
}
