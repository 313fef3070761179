import * as fs from "node:fs";
import { codeOf, replaceFile } from "./files.ts";
import type { Mark } from "./mark.ts";

export interface Checkpoint {
  readonly marks: readonly Mark[];
  /** Whether there was a checkpoint that could not be read. */
  readonly isDamaged: boolean;
}

const bytesMax = 64 * 1024 * 1024;

/**
 * Reads the positions. A file that cannot be read as a checkpoint is set aside and everything is read from the
 * beginning: duplicates, not losses.
 */
export function loadCheckpoint(path: string, onProblem: (message: string) => void): Checkpoint {
  let text: string;
  try {
    if (fs.statSync(path).size > bytesMax) throw new SyntaxError("it is too long");
    text = fs.readFileSync(path, "utf8");
    const value = JSON.parse(text) as { format?: unknown; marks?: unknown };
    if (value.format === 1 && Array.isArray(value.marks) && value.marks.every(isMark)) {
      return { marks: value.marks, isDamaged: false };
    }
    throw new SyntaxError("its content is not a list of positions");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return { marks: [], isDamaged: false };
    if (!(error instanceof SyntaxError)) throw error;
    fs.renameSync(path, `${path}.damaged`);
    onProblem(
      `Checkpoint ${path} is damaged (${error.message}): kept as ${path}.damaged, files are read again`,
    );
    return { marks: [], isDamaged: true };
  }
}

/** Replaces the checkpoint; it is the old or the new one, whatever happens. */
export async function saveCheckpoint(path: string, marks: readonly Mark[]): Promise<void> {
  await replaceFile(path, `${JSON.stringify({ format: 1, marks })}\n`);
}

function isMark(value: unknown): value is Mark {
  if (typeof value !== "object" || value === null) return false;
  const mark = value as Partial<Record<keyof Mark, unknown>> & { fingerprint?: Partial<Mark["fingerprint"]> };
  return (
    typeof mark.path === "string" &&
    typeof mark.base === "string" &&
    [mark.device, mark.inode, mark.offset, mark.fingerprint?.length].every(Number.isSafeInteger) &&
    typeof mark.fingerprint?.sha256 === "string" &&
    typeof mark.done === "boolean"
  );
}
