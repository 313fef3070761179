import { readFileSync } from "node:fs";
import { runBounded } from "../bounded-run.ts";
import type { FalcoSettings } from "./settings.ts";

const bounds = { ms: 30_000, bytes: 16 * 1024 };

/** Makes Falco load its files again, where that is not left to its own watch. Says what went wrong. */
export async function reloadFalco({ pidFile, reloadCommand }: FalcoSettings): Promise<string | undefined> {
  if (reloadCommand !== undefined) {
    const ran = await runBounded(reloadCommand, [], bounds);
    if (ran.code === 0) return undefined;
    return `${reloadCommand} ended with ${ran.code ?? ran.why}: ${ran.stderr.trim().slice(-500)}`;
  }
  return pidFile === undefined ? undefined : hangUp(pidFile);
}

/** Sends SIGHUP to the process that a file names. */
export function hangUp(pidFile: string): string | undefined {
  try {
    const text = readFileSync(pidFile, "utf8").trim();
    if (!/^\d{1,9}$/.test(text) || Number(text) < 1) return `${pidFile} holds no process id`;
    process.kill(Number(text), "SIGHUP");
    return undefined;
  } catch (error) {
    return `SIGHUP to the process in ${pidFile}: ${(error as Error).message}`;
  }
}
