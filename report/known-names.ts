/** Names that are to be covered in running text, and what stands for them there. */
export interface KnownNames {
  /** A whole name wins over a part of another one that is written the same; of two equal ones the first stays. */
  add(text: string, cover: string, kind: "whole" | "part"): void;
  /** The text with every known name covered, the longest first, whatever its case, where no letter and no digit touches it. */
  cover(text: string): string;
}

/** What is written the same but for the case. */
interface Entry {
  /** By the case that they have. */
  readonly wholes: Map<string, string>;
  part?: string;
}

/** Of a name that has more, the rest stays as it is: Kubernetes takes no object's name that long. */
const tokensMax = 128;

/**
 * Looks names up by their tokens instead of searching for each of them: there may be as many names as texts, so that a search for each
 * would cost the one times the other.
 */
export function createKnownNames(): KnownNames {
  const entries = new Map<string, Entry>();
  /** How many tokens the longest name has, by the first of them. */
  const longest = new Map<string, number>();

  function findAt(
    tokens: readonly string[],
    folded: readonly string[],
    from: number,
  ): { readonly cover: string; readonly to: number } | undefined {
    const most = longest.get(folded[from] ?? "") ?? 0;
    let key = "";
    let found: { readonly entry: Entry; readonly to: number } | undefined;
    for (let at = from; at < Math.min(from + most, tokens.length); at++) {
      key += folded[at];
      const entry = entries.get(key);
      if (entry !== undefined) found = { entry, to: at + 1 };
    }
    if (found === undefined) return undefined;
    const { wholes, part } = found.entry;
    const [any] = wholes.values();
    const cover = wholes.get(tokens.slice(from, found.to).join("")) ?? any ?? part;
    return cover === undefined ? undefined : { cover, to: found.to };
  }

  return {
    add(text, cover, kind) {
      const tokens = tokensOf(text).slice(0, tokensMax);
      const folded = tokens.map(fold);
      const [first] = folded;
      if (first === undefined) return;
      const key = folded.join("");
      const entry: Entry = entries.get(key) ?? { wholes: new Map<string, string>() };
      entries.set(key, entry);
      if (kind === "part") entry.part ??= cover;
      else if (!entry.wholes.has(tokens.join(""))) entry.wholes.set(tokens.join(""), cover);
      longest.set(first, Math.max(longest.get(first) ?? 0, tokens.length));
    },
    cover(text) {
      if (entries.size === 0) return text;
      const tokens = tokensOf(text);
      const folded = tokens.map(fold);
      const pieces: string[] = [];
      for (let at = 0; at < tokens.length;) {
        const found = findAt(tokens, folded, at);
        pieces.push(found?.cover ?? tokens[at] ?? "");
        at = found?.to ?? at + 1;
      }
      return pieces.join("");
    },
  };
}

/** Letters and digits together, anything else by itself: no name begins or ends within a word. */
function tokensOf(text: string): readonly string[] {
  return text.match(/[\p{L}\p{N}\p{M}]+|./gsu) ?? [];
}

function fold(token: string): string {
  return token.toLowerCase();
}
