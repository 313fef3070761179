/** What the pipeline has counted since it started. */
export interface Counters {
  readonly events: number;
  readonly bytes: number;
  readonly alerts: number;
  readonly dropped: number;
  readonly parked: number;
  readonly detectionUs: number;
}

/** The counts of one minute. */
export interface RateBucket extends Counters {
  /** The beginning of the minute, epoch milliseconds. */
  readonly minuteMs: number;
  readonly lagMs: number;
  /** How much of the minute was observed, 0 to 60. */
  readonly seconds: number;
}

/** Minutes that the server has not acknowledged, oldest first; the last one is in work. */
export interface RateLedger {
  readonly last: Counters | undefined;
  readonly lastAtMs: number;
  readonly buckets: readonly RateBucket[];
}

export const emptyLedger: RateLedger = { last: undefined, lastAtMs: 0, buckets: [] };

/** Minutes kept while the server is away; older ones are given up, they only describe the past. */
const bucketsMax = 120;
const minuteMs = 60_000;

/**
 * Adds an observation. What was counted since the one before goes to the minute in which the new one falls, so a minute
 * is right to within one observation. A counter that went back counts from zero, because the pipeline began anew; each by itself, so that
 * one that goes back for a reason of its own does not count the others twice.
 */
export function observe(ledger: RateLedger, now: Counters, lagMs: number, nowMs: number): RateLedger {
  const { last } = ledger;
  if (last === undefined) return { ...ledger, last: now, lastAtMs: nowMs };
  const minute = nowMs - (nowMs % minuteMs);
  const before = ledger.buckets.at(-1);
  const open = before?.minuteMs === minute ? before : emptyBucket(minute);
  const grown = (key: keyof Counters) => (now[key] < last[key] ? now[key] : now[key] - last[key]);
  const isRestarted = now.events < last.events;
  const covered = Math.max(0, Math.min(nowMs - ledger.lastAtMs, nowMs - minute));
  const bucket: RateBucket = {
    minuteMs: minute,
    events: open.events + grown("events"),
    bytes: open.bytes + grown("bytes"),
    alerts: open.alerts + grown("alerts"),
    dropped: open.dropped + grown("dropped"),
    // What an output has set aside is no longer counted when a new config drops the output.
    parked: open.parked + (isRestarted ? now.parked : Math.max(0, now.parked - last.parked)),
    detectionUs: open.detectionUs + grown("detectionUs"),
    lagMs: Math.max(open.lagMs, lagMs),
    seconds: Math.min(60, open.seconds + covered / 1000),
  };
  const closed = before?.minuteMs === minute ? ledger.buckets.slice(0, -1) : ledger.buckets;
  return { last: now, lastAtMs: nowMs, buckets: [...closed, bucket].slice(-bucketsMax) };
}

/** Forgets the minutes that are over and were acknowledged; the one in work stays. */
export function acknowledge(ledger: RateLedger, throughMinuteMs: number): RateLedger {
  const open = ledger.buckets.at(-1)?.minuteMs ?? 0;
  const kept = ledger.buckets.filter((b) => b.minuteMs > throughMinuteMs || b.minuteMs === open);
  return { ...ledger, buckets: kept };
}

const zero: Counters = { events: 0, bytes: 0, alerts: 0, dropped: 0, parked: 0, detectionUs: 0 };

function emptyBucket(minute: number): RateBucket {
  return { ...zero, minuteMs: minute, lagMs: 0, seconds: 0 };
}
