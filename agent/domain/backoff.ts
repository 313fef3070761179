/** The longest an agent waits between two tries. */
const capMs = 300_000;

/** The same while the server is away, when its window is not longer: a fleet is back so long after its server. */
const awayCapMs = 30_000;

/** The first try after a failure comes within this: most outages are a restart. */
const soonMs = 1_000;

/** How an agent came to be without a session. */
export interface Loss {
  /** Tries in a row that came to nothing; 0 when the session that ended was one. */
  readonly failures: number;
  /** The window that the server chose for its fleet: as long as it takes to take all of it back. */
  readonly windowMs: number;
  /** Whether the server, or what it cannot do without, is away. Otherwise it was there and did not want this agent. */
  readonly isAway: boolean;
  /** How long the server wants to be left alone, if it said so. */
  readonly askedMs?: number | undefined;
}

/**
 * How long to wait before connecting again, in milliseconds: full jitter over the window that the server chose, doubled
 * with each failure. While the server is away a try costs it nothing, and when it is back it wants everybody within its
 * window, so that the wait does not grow beyond that; who is refused comes less and less often. The dice, each in [0, 1),
 * are thrown after the cap, so that a fleet at the cap never moves in step.
 */
export function reconnectDelayMs(
  { failures, windowMs, isAway, askedMs }: Loss,
  [own, asked]: readonly [own: number, asked: number],
): number {
  const most = isAway ? Math.min(capMs, Math.max(awayCapMs, windowMs)) : capMs;
  const doubled = windowMs * 2 ** Math.min(Math.max(0, failures - 1), 20);
  const span = failures === 1 ? Math.min(windowMs, soonMs) : Math.min(most, doubled);
  const ownMs = Math.floor(span * own);
  return askedMs === undefined ? ownMs : askedDelayMs(askedMs, ownMs, asked);
}

/** What the system says when there is no connection to a server, or none any more. */
const awayErrnos = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);

/** Whether an error says that the server is away: by its errno, or by the Connect code that a balancer's answer becomes. */
export function saysAway(code: string): boolean {
  return awayErrnos.has(code) || code === "unavailable";
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
