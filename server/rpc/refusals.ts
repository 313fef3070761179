import { Code, ConnectError } from "@connectrpc/connect";

import { sentence, type Outcome, type Refusal } from "../domain/refusal.ts";
import { withoutSecrets } from "../domain/secret.ts";

/** The only place where a domain word becomes a wire code. A new refusal kind does not compile until it has one. */
const codes = {
  invalid: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  forbidden: Code.PermissionDenied,
  "not-found": Code.NotFound,
  "already-exists": Code.AlreadyExists,
  "illegal-step": Code.FailedPrecondition,
  precondition: Code.FailedPrecondition,
  stale: Code.Aborted,
  changed: Code.Aborted,
  "out-of-range": Code.OutOfRange,
  "over-limit": Code.ResourceExhausted,
  unavailable: Code.Unavailable,
} as const satisfies Record<Refusal["kind"], Code>;

export function toConnectError(refusal: Refusal): ConnectError {
  // What was asked for is repeated in words, and these go into logs here and there.
  return new ConnectError(withoutSecrets(sentence(refusal)), codes[refusal.kind], retryAfter(refusal));
}

/** When to come back, as HTTP says it: in whole seconds, rounded up, so that who comes then gets through. */
function retryAfter(refusal: Refusal): Record<string, string> | undefined {
  if (!("retryAfterMs" in refusal) || refusal.retryAfterMs === undefined) return undefined;
  return { "retry-after": String(Math.max(1, Math.ceil(refusal.retryAfterMs / 1000))) };
}

/** The value, or the refusal as the error that the client sees. */
export function orRefuse<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw toConnectError(outcome.refusal);
}
