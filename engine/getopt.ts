import type { FieldValue } from "./fields/field.ts";

/** The options a text such as `nt:` stands for: a letter with a colon behind it takes a value. */
function optionsOf(text: string): ReadonlyMap<string, boolean> {
  const options = new Map<string, boolean>();
  const letters = Array.from(text);
  letters.forEach((letter, i) => {
    if (letter !== ":") options.set(letter, (options.get(letter) ?? false) || letters[i + 1] === ":");
  });
  return options;
}

/**
 * Finds options among the arguments of a command, as POSIX `getopt` does: up to the first argument that is none, or `--`.
 * Long options are skipped. Without a `selector` it gives letters and values in their order, `?` for a letter that is no
 * option and an empty text for a value that is not there, in a list that exists even when it is empty; with one, the last
 * value of that option (or its letter when it takes none), and nothing when it was not given.
 */
export function findOptions(args: FieldValue, optionText: FieldValue, selector?: string): FieldValue {
  if (!Array.isArray(args) || typeof optionText !== "string") return undefined;
  const options = optionsOf(optionText);
  const words = args.map(String);
  const all: string[] = [];
  let selected: string | undefined;
  const found = (letter: string, ...texts: readonly string[]): void => {
    all.push(...texts);
    if (letter === selector) selected = texts.at(-1);
  };
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--" || word === "-" || !word.startsWith("-")) break;
    if (word.startsWith("--")) continue;
    const letters = Array.from(word);
    for (let i = 1; i < letters.length; i++) {
      const letter = letters[i] ?? "";
      const takesValue = options.get(letter);
      if (takesValue === undefined) all.push("?");
      else if (!takesValue) found(letter, letter);
      else {
        const value = i + 1 < letters.length ? letters.slice(i + 1).join("") : words[++at];
        if (value === undefined) found(letter, "");
        else found(letter, letter, value);
        break;
      }
    }
  }
  return selector === undefined ? all : selected;
}
