import { toConnectError } from "./refusals.ts";

/** How long a stream goes on: until its caller goes, or the server does. */
export interface Until {
  /** Aborted when the caller has gone. */
  readonly caller: AbortSignal;
  /** Aborted when the server drains. */
  readonly leaving: AbortSignal;
}

/** One signal for both ends. */
export function eitherEnd({ caller, leaving }: Until): AbortSignal {
  return AbortSignal.any([caller, leaving]);
}

/** What a stream without an end of its own ends with: nothing when its caller went, and a word when the server goes. */
export function sayWhyEnded({ caller, leaving }: Until): void {
  if (caller.aborted || !leaving.aborted) return;
  throw toConnectError({ kind: "unavailable", why: "The server is going away: call again" });
}
