const word =
  /^("(?:[^"\\]|\\.)*"|\$[^\s[]*(?:\[(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\]\s]*)\])*|\S+)(?:\s+(.*))?$/s;

/**
 * The first words of a value and, as the last of `count`, the rest of the line as it was written. A word is split at
 * blanks; in double quotes and in the brackets of a record accessor it may hold blanks. `\"` is a quote within quotes.
 */
export function splitWords(text: string, count: number): readonly string[] {
  const words: string[] = [];
  let rest = text.trim();
  while (rest !== "" && words.length < count - 1) {
    const found = word.exec(rest);
    words.push(unquote(found?.[1] ?? rest));
    rest = found?.[2] ?? "";
  }
  return rest === "" ? words : [...words, rest];
}

/** The same, but the last one may stand in quotes, too. */
export function splitQuoted(text: string, count: number): readonly string[] {
  return splitWords(text, count).map((one, index) => (index === count - 1 ? unquote(one) : one));
}

function unquote(text: string): string {
  const inner = /^"((?:[^"\\]|\\.)*)"$/s.exec(text)?.[1];
  return inner === undefined ? text : inner.replaceAll(/\\(["\\])/g, "$1");
}
