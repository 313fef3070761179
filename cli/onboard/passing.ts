import { exitCodes, Failure } from "../failure.ts";
import type { Probe } from "../local/until.ts";

/** Who is away for a moment while somebody waits may come back; only what was refused is final. */
export async function passing<T>(look: Probe<T>): Promise<{ done: T } | { seen: string }> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof Failure && error.exitCode === exitCodes.away) return { seen: error.message };
    throw error;
  }
}
