/** Letters of which nobody can say the next: the high bits of a linear congruence. */
export function noise(length: number, seed: number, letters = "ab"): string {
  let state = seed;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return letters.charAt(Math.floor((state / 2 ** 32) * letters.length));
  }).join("");
}
