import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Checked } from "#trust";
import { misused, refused } from "../failure.ts";

/** The value of a check, or the failure that ends the command with the check's own words. */
export function orRefuse<T>(checked: Checked<T>, ...next: readonly string[]): T {
  if (checked.ok) return checked.value;
  throw refused(`${checked.refusal.message} (${checked.refusal.code})`, ...next);
}

/** A folder that only its owner can open. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chmodSync(path, 0o700);
}

/** Writes a file that must not exist yet, on disk before it returns; 0600 for a secret. */
export function writeNew(path: string, content: string | Uint8Array, mode: 0o600 | 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  try {
    writeFileSync(path, content, { flag: "wx", mode, flush: true });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw notUsable(path, error);
    throw misused(
      `${path} is there already and is not overwritten`,
      "Move it away, or choose another folder.",
    );
  }
}

/** Reads a file up to a size; the size is looked at first. */
export function readBounded(path: string, bytesMax: number): Uint8Array {
  try {
    const { size } = statSync(path);
    if (size <= bytesMax) return readFileSync(path);
    throw misused(`${path} has ${size} bytes; at most ${bytesMax} are read`);
  } catch (error) {
    throw codeOf(error) === undefined ? error : notUsable(path, error);
  }
}

/** A failure that names the path for what the file system said. */
export function notUsable(path: string, error: unknown): Error {
  const why = error instanceof Error ? error.message : String(error);
  return misused(`${path} cannot be used: ${why}`, "Check the path and who may use it.");
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
