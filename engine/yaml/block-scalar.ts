import type { Input } from "./input.ts";

interface Header {
  readonly isFolded: boolean;
  readonly chomp: "clip" | "keep" | "strip";
  /** Columns the text is indented by, counted from the block around it; undefined to find out. */
  readonly indent: number | undefined;
}

/** Reads a scalar that starts with `|` or `>`. `outer` is the column of the block around it, or -1. */
export function readBlockScalar(input: Input, outer: number): string {
  const header = readHeader(input);
  const lines = new BlockLines(input, header, (header.indent ?? 1) + Math.max(outer, 0));
  lines.read();
  if (header.chomp === "keep") return lines.text;
  let end = lines.text.length;
  while (end > 0 && lines.text.charAt(end - 1) === "\n") end--;
  return lines.text.slice(0, header.chomp === "strip" || end === 0 ? end : end + 1);
}

function readHeader(input: Input): Header {
  const isFolded = input.peek() === ">";
  input.skip(1);
  const marks = /(?:[+-][0-9]?|[0-9][+-]?)?/y;
  marks.lastIndex = input.at;
  const found = marks.exec(input.text)?.[0] ?? "";
  let indent: number | undefined;
  for (const char of found) {
    input.skip(1);
    if (char === "0") throw input.problem("cannot set zero indentation for a block scalar");
    if (char >= "1" && char <= "9") indent = Number(char);
  }
  const chomp = found.includes("+") ? "keep" : found.includes("-") ? "strip" : "clip";
  input.skipBlanks();
  if (input.peek() === "#") input.skipLine();
  if (!input.done && input.breakLength() === 0) {
    throw input.problem("unexpected character in block scalar");
  }
  return { isFolded, chomp, indent };
}

class BlockLines {
  text: string;
  private readonly input: Input;
  private readonly header: Header;
  private indent: number;
  private hasText: boolean;
  /** Line breaks that wait for the next line with text to say what they mean. */
  private waiting: number;
  private waitsBehindIndented: boolean;

  constructor(input: Input, header: Header, indent: number) {
    this.input = input;
    this.header = header;
    this.indent = indent;
    this.text = "";
    this.hasText = false;
    this.waiting = 0;
    this.waitsBehindIndented = false;
  }

  read(): void {
    const { input } = this;
    let isFirst = true;
    let before = { isEmpty: false, isIndented: false };
    while (!input.done) {
      const start = input.at;
      input.skipLine();
      if (input.at > start) {
        this.hasText = true;
        isFirst = false;
        this.text += input.text.slice(start, input.at);
      }
      if (input.done) return;
      input.takeBreak();
      this.indentation();
      const after = { isEmpty: input.breakLength() > 0, isIndented: input.isBlank() };
      if (this.header.isFolded && this.waiting === 0 && after.isEmpty) {
        this.waitsBehindIndented = before.isIndented;
      }
      // The break behind the header belongs to it.
      if (!isFirst) this.join(before, after);
      before = after;
      isFirst = false;
      if (!after.isEmpty && input.column < this.indent) return;
    }
  }

  private indentation(): void {
    const { input } = this;
    const isOpen = this.header.indent === undefined && !this.hasText;
    const until = isOpen ? Number.POSITIVE_INFINITY : this.indent;
    while (input.peek() === " " && input.column < until) input.skip(1);
    if (isOpen) this.indent = Math.max(this.indent, input.column);
    if (input.peek() === "\t" && input.column < this.indent) {
      throw input.problem("illegal tab when looking for indentation");
    }
  }

  /** Writes what stands between two lines. */
  private join(before: LineKind, after: LineKind): void {
    if (!this.header.isFolded) {
      this.text += "\n";
      return;
    }
    const isPlain = !before.isEmpty && !after.isEmpty && !before.isIndented && !after.isIndented;
    if (isPlain && this.input.column >= this.indent) this.text += " ";
    else if (after.isEmpty) this.waiting++;
    else this.text += "\n";
    if (after.isEmpty || this.waiting === 0) return;
    this.text += "\n".repeat(this.waiting - 1);
    if (this.waitsBehindIndented || after.isIndented || !this.hasText) this.text += "\n";
    this.waiting = 0;
  }
}

interface LineKind {
  readonly isEmpty: boolean;
  readonly isIndented: boolean;
}
