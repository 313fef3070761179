import type { Frame, Read, ReadNode } from "./compile.ts";
import { WordSearch } from "./json/word-search.ts";
import { oneText } from "./value-tests.ts";

export type WordOperator = "contains" | "icontains";

/**
 * The words that all rules look for in one field. The first rule that asks has all of them looked for where the text lies, in one
 * pass and without a string; only a text that is not written as rules see it is made, and searched word by word.
 *
 * Letters from A to Z count as small ones in that pass. For words whose case matters a second pass follows, once one of them
 * was found but for its case.
 */
export class FieldWords {
  private readonly node: ReadNode;
  private readonly read: Read;
  private readonly folded: Pass;
  private readonly exact: Pass;

  constructor(node: ReadNode, read: Read) {
    this.node = node;
    this.read = read;
    this.folded = new Pass(true);
    this.exact = new Pass(false);
  }

  /** Takes a word in, and gives the function that says whether an event's text holds it; undefined for a word beyond ASCII or one too many. */
  add(operator: WordOperator, word: string): ((frame: Frame) => boolean) | undefined {
    const { folded, exact } = this;
    const place = folded.add(word);
    const exactPlace = operator === "contains" ? exact.add(word) : -1;
    if (place === undefined || exactPlace === undefined) return undefined;
    const test = oneText(operator, word);
    return (frame) => {
      const node = this.node(frame);
      if (node < 0) return false;
      if (folded.runs(frame, node)) {
        if (!folded.holds(place, frame)) return false;
        return exactPlace < 0 || (exact.runs(frame, node) && exact.holds(exactPlace, frame));
      }
      const text = this.read(frame);
      return text !== undefined && test(text as string);
    };
  }
}

/** A search that goes over the text of an event when it is asked for the first time. */
class Pass {
  private readonly search: WordSearch;
  private stamp: number;
  private hasRun: boolean;

  constructor(isFolded: boolean) {
    this.search = new WordSearch(isFolded);
    this.stamp = -1;
    this.hasRun = false;
  }

  add(word: string): number | undefined {
    // A rule may come in while an event is looked at in which the others' words were looked for already.
    this.stamp = -1;
    return this.search.add(word);
  }

  /** Whether the text at a node can be searched where it lies; by then it has been. */
  runs(frame: Frame, node: number): boolean {
    if (frame.stamp !== this.stamp) {
      this.stamp = frame.stamp;
      this.hasRun = frame.event.tape.search(node, this.search, frame.stamp);
    }
    return this.hasRun;
  }

  holds(place: number, { stamp }: Frame): boolean {
    return this.search.holds(place, stamp);
  }
}
