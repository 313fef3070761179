import type { Input } from "./input.ts";

const single: ReadonlyMap<string, string> = new Map([
  ["0", "\0"],
  ["a", "\u0007"],
  ["b", "\b"],
  ["t", "\t"],
  ["\t", "\t"],
  ["n", "\n"],
  ["v", "\v"],
  ["f", "\f"],
  ["r", "\r"],
  ["e", "\u001b"],
  [" ", " "],
  ['"', '"'],
  ["'", "'"],
  ["\\", "\\"],
  ["/", "/"],
  ["N", "\u0085"],
  ["_", "\u00a0"],
  ["L", "\u2028"],
  ["P", "\u2029"],
]);
const digits: ReadonlyMap<string, number> = new Map([
  ["x", 2],
  ["u", 4],
  ["U", 8],
]);

/** Reads what a quote doubled in single quotes, or a backslash in double ones, stands for. */
export function escapeSequence(input: Input): string {
  const mark = input.peek();
  const char = input.peek(1);
  input.skip(2);
  if (mark === "'") return "'";
  const text = single.get(char);
  if (text !== undefined) return text;
  const count = digits.get(char);
  if (count === undefined) throw input.problem(`unknown escape character: ${char}`);
  let point = 0;
  for (let i = 0; i < count; i++) {
    const digit = input.peek();
    input.skip(1);
    if (!/^[0-9a-fA-F]$/.test(digit)) {
      throw input.problem("bad character found while scanning hex number");
    }
    point = point * 16 + Number.parseInt(digit, 16);
  }
  if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
    throw input.problem(`invalid unicode: ${point}`);
  }
  return String.fromCodePoint(point);
}
