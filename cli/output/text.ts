/** Words that people read in colour when the terminal has it. No meaning is carried by colour alone. */
export type Tone = "good" | "bad" | "busy" | "faint";

/** Gives a text its tone. The plain one leaves it as it is. */
export type Paint = (tone: Tone, text: string) => string;

/** Leaves every text as it is: for files, pipes, `NO_COLOR` and tests. */
export const plain: Paint = (_tone, text) => text;

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

/** How many columns a text takes, counting code points; enough for names, which are mostly ASCII. */
export function widthOf(text: string): number {
  return Array.from(text).length;
}

/** Cuts a text to a width and shows that it was cut. */
export function cut(text: string, width: number): string {
  const characters = Array.from(text);
  if (characters.length <= width) return text;
  return width < 1 ? "" : `${characters.slice(0, width - 1).join("")}…`;
}

/** "1 cluster", "3 clusters". */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
