/** One bad field of a request. Every bad field is listed at once, so that a caller fixes them in one go. */
export interface Problem {
  readonly field: string;
  readonly why: string;
}

/** Why something asked for is not done. A value, never thrown inside the core; `rpc/` gives each kind its wire code. */
export type Refusal =
  /** The request itself is wrong; the caller fixes it. */
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] }
  /** No credentials, or bad ones. */
  | { readonly kind: "unauthenticated"; readonly why: string }
  /** The caller may know that it exists and may not do this. */
  | { readonly kind: "forbidden"; readonly why: string }
  /** Missing, or nothing that the caller may know of: the same words in both cases. */
  | { readonly kind: "not-found"; readonly what: string; readonly id: string }
  | { readonly kind: "already-exists"; readonly what: string; readonly id: string; readonly why: string }
  /** The state machine has no such step; retrying alone will not help. */
  | { readonly kind: "illegal-step"; readonly what: string; readonly from: string; readonly event: string }
  /** The state of the world does not allow it now; `why` says what has to happen first. */
  | { readonly kind: "precondition"; readonly why: string }
  /** Somebody else changed it first; the caller reads again and decides again. */
  | { readonly kind: "stale"; readonly what: string; readonly seen: bigint }
  /** What the caller decided on is no longer so; `why` says what changed. The caller looks again and decides again. */
  | { readonly kind: "changed"; readonly why: string }
  /** An offset or position beyond the end. */
  | { readonly kind: "out-of-range"; readonly why: string }
  /** `retryAfterMs` where waiting helps. */
  | { readonly kind: "over-limit"; readonly why: string; readonly retryAfterMs?: number }
  /** Not now: draining, or something the server needs is away. The caller retries with backoff. */
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs?: number };

/** The answer of everything that may refuse. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: Refusal };

export function accept<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function refuse(refusal: Refusal): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal };
}

/** One bad field. To refuse several at once, refuse with kind `invalid` and the whole list. */
export function invalid(field: string, why: string): { readonly ok: false; readonly refusal: Refusal } {
  return refuse({ kind: "invalid", problems: [{ field, why }] });
}

/** The refusal in words, for people. Says the thing, the place and, where there is one, the next step. */
export function sentence(refusal: Refusal): string {
  switch (refusal.kind) {
    case "invalid":
      return refusal.problems.map(({ field, why }) => `${field}: ${why}`).join("; ");
    case "unauthenticated":
    case "forbidden":
    case "precondition":
    case "changed":
    case "out-of-range":
    case "over-limit":
    case "unavailable":
      return refusal.why;
    case "not-found":
      return `No such ${refusal.what}: "${refusal.id}"`;
    case "already-exists":
      return `The ${refusal.what} "${refusal.id}" exists already: ${refusal.why}`;
    case "illegal-step":
      return `Cannot ${refusal.event} a ${refusal.what} that is ${refusal.from}`;
    case "stale":
      return `The ${refusal.what} changed after generation ${refusal.seen}: read it again and decide again`;
  }
}
