/** The longest an agent waits between two tries, so that a fleet comes back within minutes of its server. */
const capMs = 300_000;

/**
 * How long to wait before connecting again, in milliseconds: full jitter over the window that the server chose, doubled
 * with each failure. The dice are thrown after the cap, so that a fleet at the cap never moves in step.
 */
export function reconnectDelayMs(failures: number, windowMs: number, dice: number): number {
  const span = Math.min(capMs, windowMs * 2 ** Math.min(failures, 20));
  return Math.floor(span * dice);
}

/** A server that wants to be left alone for longer than this is asked again all the same. */
export const askedMsMax = 300_000;

/**
 * How long to wait when the server said how long, in milliseconds: at least that, and up to half as much again, so that
 * those whom it told the same do not come back at once. `ownMs` is what the agent would have waited by itself.
 */
export function askedDelayMs(askedMs: number, ownMs: number, dice: number): number {
  const least = Math.min(askedMs, askedMsMax);
  return Math.max(ownMs, Math.floor(least + (least / 2) * dice));
}

/** What `Retry-After` says, in milliseconds; undefined when it says nothing that a number of seconds is. */
export function readRetryAfter(text: string | null): number | undefined {
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}

/** How long to wait before trying failed work again, in milliseconds: from one second, doubling to a minute, full jitter. */
export function retryDelayMs(failures: number, dice: number): number {
  const span = Math.min(60_000, 1_000 * 2 ** Math.min(failures, 10));
  return Math.floor(span / 2 + (span / 2) * dice);
}

/** Certificates are dated back by this much, for clocks that are behind. */
const backdatedMs = 300_000;

/** How long after it was issued to renew a certificate, in milliseconds: a random 40 to 60 % of its life. */
export function renewAfterMs(notBeforeMs: number, notAfterMs: number, dice: number): number {
  return lifeOf(notBeforeMs, notAfterMs) * (0.4 + 0.2 * dice);
}

/** When a certificate was issued, epoch milliseconds by the clock of whoever issued it. */
export function issuedAtMs(notBeforeMs: number, notAfterMs: number): number {
  return notAfterMs - lifeOf(notBeforeMs, notAfterMs);
}

function lifeOf(notBeforeMs: number, notAfterMs: number): number {
  const datedMs = notAfterMs - notBeforeMs;
  return datedMs > backdatedMs ? datedMs - backdatedMs : datedMs;
}
