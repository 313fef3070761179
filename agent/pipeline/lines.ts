import { isUtf8 } from "node:buffer";
import type { Line, LineFile } from "./line-parser.ts";
import type { Chunk } from "./tail-file.ts";

class Cursor implements Line {
  readonly file: LineFile;
  readonly bytes: Buffer;
  from = 0;
  to = 0;
  start = 0;
  end = 0;
  isUtf8 = true;

  constructor(file: LineFile, bytes: Buffer) {
    this.file = file;
    this.bytes = bytes;
  }
}

/** The lines of a chunk, one after the other in the same object: whoever keeps one copies it. */
export function* eachLine(file: LineFile, chunk: Chunk): Generator<Line> {
  const { buffer, length, consumed, offset } = chunk;
  const allUtf8 = isUtf8(buffer.subarray(0, length));
  const line = new Cursor(file, buffer);
  for (let start = 0; start < length;) {
    const newline = buffer.indexOf(0x0a, start);
    line.start = start;
    line.end = buffer[newline - 1] === 0x0d && newline > start ? newline - 1 : newline;
    line.from = offset + start;
    line.to = offset + Math.min(newline + 1, consumed);
    line.isUtf8 = allUtf8 || isUtf8(buffer.subarray(line.start, line.end));
    yield line;
    start = newline + 1;
  }
}
