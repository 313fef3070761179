import { Lexer } from "yaml";

/** A config of the kind that people write has six levels. */
export const depthMax = 32;

/**
 * Whether a document nests deeper than a config ever does, told from its tokens in one pass: the parser takes a time for a
 * hundred thousand brackets that grows with their square. Nesting by indentation is bounded by the size of the file.
 */
export function nestsTooDeep(text: string): boolean {
  let flow = 0;
  let onLine = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") flow += 1;
    else if (token === "]" || token === "}") flow -= 1;
    // A dash opens a list within a list when it follows another one on its line.
    else if (token === "-" || token === "?") onLine += 1;
    else if (token.includes("\n")) onLine = 0;
    if (flow > depthMax || onLine > depthMax) return true;
  }
  return false;
}
