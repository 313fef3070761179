import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";

/** What tells this process from every other one that may use the same identity. */
export interface Instance {
  readonly id: string;
  /** How often the agent was started on this state directory, this time included. */
  readonly starts: bigint;
}

/**
 * Counts this start, durably, before the server hears of it: so a copy of the state directory, or one that was put back,
 * is known by a number that was used before. What cannot be written must not keep the agent from detecting.
 */
export function beginInstance(path: string, onProblem: (error: Error) => void): Instance {
  const starts = before(path) + 1n;
  try {
    writeFileAtomic.sync(path, `${starts}\n`, { mode: 0o600 });
  } catch (error) {
    onProblem(error as Error);
  }
  return { id: randomUUID(), starts };
}

function before(path: string): bigint {
  try {
    const text = readFileSync(path, "utf8").trim();
    return /^\d{1,15}$/.test(text) ? BigInt(text) : 0n;
  } catch {
    // Not there yet, or not readable: the server says so if it has seen more.
    return 0n;
  }
}
