import type { Input } from "./input.ts";
import { escapeSequence } from "./escapes.ts";

/** How a plain or quoted scalar is read. */
export interface FlowStyle {
  /** How long what ends the scalar is, or 0 when it does not end here. */
  readonly endLength: (input: Input) => number;
  readonly escape: "" | "'" | "\\";
  /** A line that starts before this column ends a plain scalar. */
  readonly indent: number;
  readonly isPlain: boolean;
}

export interface FlowScalar {
  readonly text: string;
  /** Whether a new line with less indentation ended it. */
  readonly endsAtNewLine: boolean;
}

/** Reads a scalar whose lines are folded: one break is a blank, more of them are breaks less one. */
export function readFlowScalar(input: Input, style: FlowStyle): FlowScalar {
  const lines = new FlowLines(input, style);
  lines.read();
  return { text: lines.text, endsAtNewLine: lines.endsAtNewLine };
}

class FlowLines {
  text: string;
  endsAtNewLine: boolean;
  private readonly input: Input;
  private readonly style: FlowStyle;
  /** Lines that are complete, with what stands between them, and their length. */
  private readonly lines: string[];
  private length: number;
  /** The text up to here was written with an escape and is never trimmed; -1 without one. */
  private kept: number;

  constructor(input: Input, style: FlowStyle) {
    this.input = input;
    this.style = style;
    this.text = "";
    this.endsAtNewLine = false;
    this.lines = [];
    this.length = 0;
    this.kept = -1;
  }

  read(): void {
    const { input, style } = this;
    let wasEmpty = false;
    // A quote that is still open behind the last line break is taken as closed, as Falco does.
    while (!input.done) {
      const line = this.line();
      if (line === "end") break;
      input.takeBreak();
      this.indentation();
      const isEmpty = input.breakLength() > 0;
      if (isEmpty) this.add("\n");
      else if (!wasEmpty && line !== "escaped break") this.add(" ");
      wasEmpty = isEmpty;
      if (!isEmpty && input.column < style.indent) {
        this.endsAtNewLine = true;
        break;
      }
    }
    this.text = this.lines.join("");
    if (style.isPlain) this.trim(/[^ \t]/, 1);
    this.trim(/[^\n]/, style.isPlain ? 1 : 2);
  }

  private add(text: string): void {
    this.lines.push(text);
    this.length += text.length;
  }

  /** Reads up to the end of the line or of the scalar, and takes away blanks before a line end. */
  private line(): "end" | "break" | "escaped break" {
    const { input, style } = this;
    let text = "";
    let solid = 0;
    for (;;) {
      // At the start of a line the mark of a document may stand.
      if (input.column > 0) {
        const letters = input.takeLetters();
        text += letters;
        if (letters !== "") solid = text.length;
      }
      if (input.done && !style.isPlain) throw input.problem("illegal EOF in scalar");
      const length = input.done ? 1 : style.endLength(input);
      if (length > 0) {
        if (!style.isPlain) input.skip(length);
        this.add(text);
        return "end";
      }
      if (input.breakLength() > 0) {
        this.add(text.slice(0, solid));
        return "break";
      }
      if (input.isDocumentMark("---") || input.isDocumentMark("...")) {
        if (!style.isPlain) throw input.problem("illegal document indicator in scalar");
        this.add(text);
        return "end";
      }
      const char = input.peek();
      if (style.escape === "\\" && char === "\\" && input.breakLength(1) > 0) {
        input.skip(1);
        this.add(text);
        this.kept = this.length;
        return "escaped break";
      }
      if (style.escape !== "" && char === style.escape) {
        text += escapeSequence(input);
        solid = text.length;
        this.kept = this.length + solid;
        continue;
      }
      text += char;
      input.skip(1);
      if (char !== " " && char !== "\t") solid = text.length;
    }
  }

  private indentation(): void {
    const { input, style } = this;
    while (input.isBlank()) {
      const isTab = input.peek() === "\t";
      if (isTab && style.isPlain && input.column < style.indent) {
        throw input.problem("illegal tab when looking for indentation");
      }
      if (style.endLength(input) > 0) return;
      input.skip(1);
    }
  }

  /** Cuts the text behind its last character of a kind, but for what is kept and for `more - 1` characters. */
  private trim(solid: RegExp, more: number): void {
    let last = this.text.length - 1;
    while (last >= 0 && !solid.test(this.text.charAt(last))) last--;
    last = Math.max(last, this.kept);
    this.text = last < 0 ? "" : this.text.slice(0, last + more);
  }
}
