/** What became of an attempt to deliver. */
export type Delivered =
  | { readonly ok: true; readonly detail: string }
  | {
      readonly ok: false;
      readonly why: string;
      /** Whether the same message may get through later. */
      readonly mayRetry: boolean;
      /** How long the receiver asked to wait. */
      readonly retryAfterMs?: number;
    };

export type DeliveryPlan =
  | { readonly kind: "done" }
  | { readonly kind: "retry"; readonly atMs: number; readonly why: string }
  | { readonly kind: "dead"; readonly why: string };

/** Attempts for one message; with the pauses between them that is about two hours. */
export const attemptsMax = 12;
const firstPauseMs = 10_000;
const pauseMaxMs = 30 * 60_000;
const askedMaxMs = 60 * 60_000;

/**
 * What to do after the attempt with this number (from 1). Pauses double up to half an hour; `random`, uniform in [0, 1), spreads
 * them, so that what failed together does not come back together.
 */
export function planDelivery(
  attempt: number,
  result: Delivered,
  nowMs: number,
  random: number,
): DeliveryPlan {
  if (result.ok) return { kind: "done" };
  if (!result.mayRetry) return { kind: "dead", why: result.why };
  if (attempt >= attemptsMax) return { kind: "dead", why: `${result.why} (${attempt} attempts)` };
  const pauseMs = Math.min(firstPauseMs * 2 ** (attempt - 1), pauseMaxMs);
  const askedMs = Math.min(result.retryAfterMs ?? 0, askedMaxMs);
  return { kind: "retry", atMs: nowMs + Math.max(askedMs, pauseMs * (0.5 + random / 2)), why: result.why };
}

/** Whether the same request may get through later, by its HTTP status: too fast, too early, or the other side's fault. */
export function mayRetryStatus(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** What `Retry-After` asks for (RFC 9110: seconds, or a date that the caller has read), in milliseconds; undefined when it is neither. */
export function retryAfterMs(header: string | undefined, dateMs: number, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}

/** When a receiver may take one more message, and until when it is busy then: `perMinute` of them, so many at once. */
export function takeTurn(
  busyUntilMs: number,
  perMinute: number,
  nowMs: number,
): { readonly isFree: boolean; readonly busyUntilMs: number } {
  const costMs = 60_000 / perMinute;
  const from = Math.max(busyUntilMs, nowMs);
  // A minute's worth may go at once.
  return from + costMs - nowMs <= 60_000
    ? { isFree: true, busyUntilMs: from + costMs }
    : { isFree: false, busyUntilMs };
}
