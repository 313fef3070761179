import { countText } from "./quantity.ts";

/** The words of a filter that knows no labels. */
export function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

/**
 * What to say of a list whose older rows were not read: words are looked for in what was read, and a server that tries conditions looks
 * at so many rows for a page, of which few may match.
 */
export function searchedText(
  words: readonly string[],
  {
    count,
    shown,
    rows,
    backTo,
  }: { readonly count: number; readonly shown: number; readonly rows: string; readonly backTo: string },
): string {
  const isKnown = backTo !== "";
  if (words.length > 0) {
    return `Words were looked for in the newest ${countText(count)} ${rows} only${isKnown ? `, back to ${backTo}` : ""}.`;
  }
  if (shown === 0) {
    return `None of the ${rows} ${isKnown ? `back to ${backTo}` : "that were looked at"} matches.`;
  }
  return `${isKnown ? `Looked back to ${backTo}. ` : ""}Older ${rows} were not looked at yet.`;
}

/** Whether every word is somewhere in one of the texts. Words are in small letters. */
export function holdsAll(texts: readonly (string | undefined)[], words: readonly string[]): boolean {
  const all = texts.join(" ").toLowerCase();
  return words.every((word) => all.includes(word));
}
