import { isMap, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Path } from "./test-reader.ts";

/** Finds the lines of a test file in which values stand. The text is read again for it, and only when somebody asks. */
export class Places {
  private readonly text: string;
  private readonly lines: LineCounter;
  private root: Node | null | undefined;

  constructor(text: string) {
    this.text = text;
    this.lines = new LineCounter();
    this.root = undefined;
  }

  /** The line, counted from 1, of a value or, where there is none, of the last thing on the way to it. */
  line(path: Path): number {
    this.root ??= parseDocument(this.text, { lineCounter: this.lines, merge: true }).contents;
    let at = this.root?.range?.[0] ?? 0;
    let node: unknown = this.root;
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => String((key as { value?: unknown }).value ?? key) === step);
        at = (pair?.key as Node | undefined)?.range?.[0] ?? at;
        node = pair?.value;
      } else if (isSeq(node) && typeof step === "number") {
        node = node.items[step];
        at = (node as Node | undefined)?.range?.[0] ?? at;
      } else break;
      if (node === undefined || node === null) break;
    }
    return this.lines.linePos(at).line;
  }
}
