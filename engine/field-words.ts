import type { Frame, Read, ReadNode } from "./compile.ts";
import { WordSearch } from "./json/word-search.ts";
import { oneText } from "./value-tests.ts";

export type WordOperator = "contains" | "icontains";

/**
 * The words that all rules look for in one field. The first rule that asks has all of them looked for where the text lies, in one
 * pass and without a string; only a text that is not written as rules see it is made, and searched word by word.
 */
export class FieldWords {
  private readonly operator: WordOperator;
  private readonly node: ReadNode;
  private readonly read: Read;
  private readonly search: WordSearch;
  private stamp: number;
  private isSearched: boolean;

  constructor(operator: WordOperator, node: ReadNode, read: Read) {
    this.operator = operator;
    this.node = node;
    this.read = read;
    this.search = new WordSearch(operator === "icontains");
    this.stamp = -1;
    this.isSearched = false;
  }

  /** Takes a word in, and gives the function that says whether an event's text holds it; undefined for a word beyond ASCII or one too many. */
  add(word: string): ((frame: Frame) => boolean) | undefined {
    const place = this.search.add(word);
    if (place === undefined) return undefined;
    // A rule may come in while an event is looked at in which the others' words were looked for already.
    this.stamp = -1;
    const test = oneText(this.operator, word);
    return (frame) => {
      if (this.find(frame)) return this.search.holds(place, frame.stamp);
      const text = this.read(frame);
      return text !== undefined && test(text as string);
    };
  }

  /** Whether the words were looked for in the event; else its text takes a closer look. */
  private find(frame: Frame): boolean {
    if (frame.stamp !== this.stamp) {
      this.stamp = frame.stamp;
      const node = this.node(frame);
      this.isSearched = node < 0 || frame.event.tape.search(node, this.search, frame.stamp);
    }
    return this.isSearched;
  }
}
