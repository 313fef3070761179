import { setTimeout as pause } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Screen } from "./screen.ts";

/** How long a watch goes on asking for a server that is away. What is watched does not need the watcher. */
const patienceMs = 120_000;
const retryMs = 1000;

/**
 * Takes message after message until `take` gives something, which is the end. A stream that ends before is asked for again: it
 * outlives a server that drains or goes away for a while. A server that did not answer yet cannot go away: a caller that begins with this
 * says `"not yet"`, and learns of a server that is not there at once.
 */
export async function followToRest<M, R>(
  watch: () => AsyncIterable<M>,
  what: string,
  screen: Screen,
  signal: AbortSignal,
  take: (message: M) => R | undefined,
  answered: "before" | "not yet" = "before",
): Promise<R> {
  let awaySince: number | undefined;
  let isKnown = answered === "before";
  for (;;) {
    try {
      for await (const message of watch()) {
        if (awaySince !== undefined) screen.talk("The server is back.\n");
        awaySince = undefined;
        isKnown = true;
        const last = take(message);
        if (last !== undefined) return last;
      }
      // A server that drains ends the stream in good order: ask again, it or another one answers.
    } catch (error) {
      if (signal.aborted || !isKnown || !isAway(error)) throw error;
      if (awaySince === undefined) {
        screen.talk(`The server went away; ${what} does not need this watch. Trying again ...\n`);
      }
      awaySince ??= screen.now();
      if (screen.now() - awaySince > patienceMs) throw error;
    }
    await pause(retryMs, undefined, { signal });
  }
}

/** Whether a call failed because no server answered, so that another try may find one. */
export function isAway(error: unknown): boolean {
  const code = ConnectError.from(error).code;
  // A connection that dies below an open stream shows as aborted or internal, depending on where it died.
  return (
    code === Code.Unavailable ||
    code === Code.DeadlineExceeded ||
    ((code === Code.Aborted || code === Code.Canceled || code === Code.Internal) && isBroken(error))
  );
}

function isBroken(error: unknown): boolean {
  let at: unknown = error;
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    if ("code" in at && typeof at.code === "string") return true;
    if (/http\/?2 stream|session|socket|GOAWAY|ECONNRESET/i.test(at.message)) return true;
    at = at.cause;
  }
  return false;
}
