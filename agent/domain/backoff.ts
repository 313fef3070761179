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

/** How long to wait before trying failed work again, in milliseconds: from one second, doubling to a minute, full jitter. */
export function retryDelayMs(failures: number, dice: number): number {
  const span = Math.min(60_000, 1_000 * 2 ** Math.min(failures, 10));
  return Math.floor(span / 2 + (span / 2) * dice);
}

/** When to renew a certificate: at a random moment between 40 and 60 % of its life, as epoch milliseconds. */
export function renewAtMs(notBeforeMs: number, notAfterMs: number, dice: number): number {
  return notBeforeMs + (notAfterMs - notBeforeMs) * (0.4 + 0.2 * dice);
}
