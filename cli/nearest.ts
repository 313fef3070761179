const namedMax = 3;

/**
 * The names that somebody may have meant, nearest first: few changed letters, or the same words in the other order
 * ("list clusters").
 */
export function nearest(typed: string, names: readonly string[]): string[] {
  const sorted = (text: string) => text.split(" ").sort().join(" ");
  return names
    .map((name) => {
      const plain = distance(typed, name);
      const turned = distance(sorted(typed), sorted(name)) + 0.5;
      // "rollout list eu" is "rollout list" and an argument too many.
      const longer = typed.startsWith(`${name} `) ? 0.25 : Infinity;
      return { name, distance: Math.min(plain, turned, longer) };
    })
    .filter((candidate) => candidate.distance <= Math.max(2, typed.length / 3))
    .sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name))
    .slice(0, namedMax)
    .map((candidate) => candidate.name);
}

/** Letters to insert, remove or replace. */
function distance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    before = row;
  }
  return before[b.length] ?? 0;
}
