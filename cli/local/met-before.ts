import { readFileSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";
import { refused } from "../failure.ts";

/** How an agent stands that an earlier start may have enrolled. An expired one is known no more until it has enrolled again. */
export type Standing = "new" | "known" | "expired";

/**
 * Looks at the identity that an earlier start gave an agent of this machine, and has it lead to where the server is now: that is for
 * whoever starts both to say, and all else in it is the agent's. Only for an agent that does not run.
 */
export function metBefore(file: string, server: string, nowMs: number): Standing {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "new";
    throw error;
  }
  const identity = parse(text, file);
  if (identity.server !== server) {
    writeFileAtomic.sync(file, JSON.stringify({ ...identity, server }), { mode: 0o600 });
  }
  return identity.notAfterMs > nowMs ? "known" : "expired";
}

function parse(text: string, file: string): { readonly server: string; readonly notAfterMs: number } {
  let found: { readonly server?: unknown; readonly notAfterMs?: unknown } | null | undefined;
  try {
    found = JSON.parse(text) as NonNullable<typeof found> | null;
  } catch {
    // Not what an agent writes: said below.
    found = undefined;
  }
  const { server, notAfterMs } = found ?? {};
  if (typeof server === "string" && typeof notAfterMs === "number") return { ...found, server, notAfterMs };
  throw refused(
    `The identity of a local agent is damaged: ${file}`,
    "npm start -- --state DIR   begins a fleet anew in another directory",
  );
}
