import { utf8Length } from "./utf8.ts";

/** Where something stands. Lines, columns and offsets count from 0 and in bytes of UTF-8, as in Falco's own report. */
export interface Position {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  readonly offset: number;
}

/** A text longer than this many characters is not counted from its start again for each place in it. */
const stride = 1024;

/** A text with the offsets at which its lines start. A byte order mark before it does not count. */
export class SourceText {
  readonly name: string;
  readonly text: string;
  private readonly starts: number[];
  /** Bytes before each stretch of {@link stride} characters; empty when every character is one byte. */
  private readonly bytes: number[];

  constructor(name: string, text: string) {
    this.name = name;
    this.text = text.startsWith("\ufeff") ? text.slice(1) : text;
    this.starts = [0];
    for (let at = this.text.indexOf("\n"); at >= 0; at = this.text.indexOf("\n", at + 1)) {
      this.starts.push(at + 1);
    }
    this.bytes = utf8Length(this.text) === this.text.length ? [] : stretches(this.text);
  }

  /** The end of a file is at the start of a line even when its last line has no end, as Falco's YAML library counts. */
  filePosition(offset: number): Position {
    const position = this.position(offset);
    return offset < this.text.length ? position : { ...position, column: 0 };
  }

  position(offset: number): Position {
    const at = Math.max(0, Math.min(offset, this.text.length));
    const line = this.lineOf(at);
    const bytes = this.bytesBefore(at);
    return { name: this.name, line, column: bytes - this.bytesBefore(this.starts[line] ?? 0), offset: bytes };
  }

  /** The line a place lies in, with a caret below it. Long lines are cut around it. */
  caret(offset: number): string {
    const at = Math.max(0, Math.min(offset, this.text.length));
    const line = this.lineOf(at);
    const start = this.starts[line] ?? 0;
    const next = this.starts[line + 1];
    const whole = this.text.slice(start, next === undefined ? undefined : next - 1);
    const column = at - start;
    const from = Math.max(0, column - caretWidth / 2);
    const shown = whole.slice(from, from + caretWidth).replaceAll(/[\t\r]/g, " ");
    return `${shown}\n${" ".repeat(column - from)}^`;
  }

  private lineOf(at: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] ?? 0) <= at) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private bytesBefore(at: number): number {
    if (this.bytes.length === 0) return at;
    const index = Math.floor(at / stride);
    return (this.bytes[index] ?? 0) + utf8Length(this.text.slice(index * stride, at));
  }
}

const caretWidth = 160;

function stretches(text: string): number[] {
  const bytes = [0];
  let sum = 0;
  for (let at = 0; at < text.length; at += stride) {
    // A pair that is cut in two counts three bytes for each half and two too many, which only a caret could notice.
    sum += utf8Length(text.slice(at, at + stride));
    bytes.push(sum);
  }
  return bytes;
}

/** A snippet reaches this far to either side of its place. */
const reach = 80;
const noContext = "<No context available>\n";

/** The line around a place with a caret, cut and marked as Falco does it, down to where it puts the caret. */
export function falcoSnippet(text: string, place: number): string {
  if (text === "") return noContext;
  let at = place;
  while (at > 0 && (at >= text.length || text.charAt(at) === "\n")) at--;
  let from = at;
  while (from > 0 && text.charAt(from) !== "\n" && at - from < reach) from--;
  let to = at;
  while (to < text.length - 1 && text.charAt(to) !== "\n" && to - at < reach) to++;
  if (text.charAt(from) === "\n") from++;
  if (text.charAt(to) === "\n") to--;
  let shown = text.slice(from, to + 1);
  if (shown === "") return noContext;
  if (at - from >= reach) shown = `...${shown.slice(3)}`;
  if (to - at >= reach) shown = `${shown.slice(0, -3)}...`;
  return `${shown}\n${" ".repeat(Math.max(0, at - from))}^\n`;
}
