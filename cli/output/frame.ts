import { cut } from "./text.ts";

/**
 * The bytes that replace the picture drawn before by a new one, on a terminal: go up over the old lines, clear to the
 * end of the screen, write. `rows` is the height of the terminal: a picture that is taller is cut, because lines that
 * have scrolled away cannot be replaced.
 */
export function renderFrame(
  linesBefore: number,
  lines: readonly string[],
  rows: number,
): { readonly bytes: string; readonly lines: number } {
  const room = Math.max(1, rows - 1);
  const shown =
    lines.length <= room
      ? lines
      : [...lines.slice(0, room - 1), cut(`… and ${lines.length - room + 1} more lines`, 40)];
  const up = linesBefore === 0 ? "" : `\u001b[${linesBefore}A`;
  return { bytes: `${up}\r\u001b[J${shown.map((line) => `${line}\n`).join("")}`, lines: shown.length };
}
