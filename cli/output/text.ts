export { clean, countOf } from "#report/text";

/** Words that people read in colour when the terminal has it. No meaning is carried by colour alone. */
export type Tone = "good" | "bad" | "busy" | "faint";

/** Gives a text its tone. The plain one leaves it as it is. */
export type Paint = (tone: Tone, text: string) => string;

/** Leaves every text as it is: for files, pipes, `NO_COLOR` and tests. */
export const plain: Paint = (_tone, text) => text;

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
