import type { ListDefinition, Placed } from "./definitions.ts";
import { quoted } from "./exceptions.ts";

const blanks = " \t\n\r";
const delimiters = `${blanks}(),=`;

/** A condition may grow to this many characters while lists are written into it. */
export const expandedLengthMax: number = 8 * 1024 * 1024;

/** A list as it is written into conditions. */
export interface ReadyList {
  readonly name: string;
  readonly text: string;
}

/**
 * Prepares lists in the order of their first definitions. An item that names a list defined earlier stands
 * for that list's items, one level deep. `use` is called for each list that is referred to.
 */
export function prepareLists(
  lists: ReadonlyMap<string, Placed<ListDefinition>>,
  use: (name: string) => void,
): readonly ReadyList[] {
  return [...lists.values()].map(({ value: list, visibility }) => {
    const items = list.items.flatMap((item) => {
      const inner = lists.get(item);
      if (inner === undefined || inner.index >= visibility) return [item];
      use(item);
      return inner.value.items;
    });
    return { name: list.name, text: items.map(quoted).join(", ") };
  });
}

/** Writes lists into a condition's text. Undefined when the text grows beyond {@link expandedLengthMax}. */
export function substituteLists(
  condition: string,
  lists: readonly ReadyList[],
  use: (name: string) => void,
): string | undefined {
  let text = condition;
  for (const list of lists) {
    if (!text.includes(list.name)) continue;
    const after = substitute(text, list, use);
    if (after === undefined) return undefined;
    text = after;
  }
  return text;
}

/** One pass from left to right; what a list brings in is not searched again for the same list. */
function substitute(
  text: string,
  { name, text: items }: ReadyList,
  use: (name: string) => void,
): string | undefined {
  let out = "";
  let rest = text;
  let from = 0;
  for (;;) {
    const found = rest.indexOf(name, from);
    if (found < 0 || name === "") return out + rest;
    const after = found + name.length;
    // What was written so far always ends in a blank.
    const before = found === 0 ? "" : rest.charAt(found - 1);
    if (!isDelimiter(before) || !isDelimiter(rest.charAt(after))) {
      from = found + 1;
      continue;
    }
    use(name);
    let head = trimEnd(rest.slice(0, found));
    let tail = trimStart(rest.slice(after));
    if (items === "") {
      // A list without items takes one of its neighbouring commas with it.
      if (head.endsWith(",")) head = head.slice(0, -1);
      else if (tail.startsWith(",")) tail = tail.slice(1);
    }
    out += head === "" && out === "" ? `${items} ` : `${head} ${items} `;
    rest = tail;
    from = 0;
    if (out.length + rest.length > expandedLengthMax) return undefined;
  }
}

function isDelimiter(char: string | undefined): boolean {
  return char === undefined || char === "" || delimiters.includes(char);
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && blanks.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

function trimStart(text: string): string {
  let start = 0;
  while (start < text.length && blanks.includes(text.charAt(start))) start++;
  return text.slice(start);
}
