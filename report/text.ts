/**
 * Makes text from outside safe to print: what an attacker put into a pod name or a rule output must not steer the
 * terminal. Line breaks and tabs become blanks, other control characters and direction overrides are shown as escapes.
 */
export function clean(text: string): string {
  return text.replace(/[\n\r\t]+/g, " ").replace(
    // oxlint-disable-next-line no-control-regex -- control characters are what this is about
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}

/** "1 cluster", "3 clusters". */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * What a report says of alerts that their clusters sent and nobody can read. At most so many are missing: they are known by whole hours, and
 * some not by their rule.
 */
export function lackOf(notStored: number, consequence: string): readonly string[] {
  if (notStored === 0) return [];
  const counted = `Up to ${countOf(notStored, "more alert")} ${notStored === 1 ? "was" : "were"} counted and not stored`;
  return [`${counted}, beyond the bounds of their clusters: ${consequence}.`];
}
