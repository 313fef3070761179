/** How often something may happen: `burst` at once, and `perSecond` in the long run. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** One bucket, for what has an owner that holds it. */
export interface TokenBucket {
  /** 0 when the token was taken; otherwise how long until there is one, in milliseconds. */
  take(nowMs: number, cost?: number): number;
}

export function createBucket(rate: Rate, nowMs: number): TokenBucket {
  const bucket: Bucket = { tokens: rate.burst, atMs: nowMs };
  return { take: (now, cost = 1) => takeFrom(bucket, rate, now, cost) };
}

/** A bucket per key, for at most `keysMax` keys. */
export interface TokenBuckets {
  take(key: string, rate: Rate, nowMs: number, cost?: number): number;
  /**
   * For what has been done already and cannot be refused: it is paid also when there is not enough left, up to a debt of
   * a whole burst, or of this one charge if that is more. Nothing is given to that key until it has paid.
   */
  charge(key: string, rate: Rate, nowMs: number, cost: number): void;
  readonly size: number;
}

/**
 * Whoever was quiet longest is forgotten first, and begins with a full bucket when it comes again. So memory is bounded
 * whatever the keys are; keys that strangers can make up belong in a book of their own, or they push others out.
 */
export function createBuckets(keysMax: number): TokenBuckets {
  // A Map keeps the order of insertion: the first key is the one that was touched longest ago.
  const buckets = new Map<string, Bucket>();
  function touch(key: string, rate: Rate, nowMs: number): Bucket {
    const bucket = buckets.get(key) ?? { tokens: rate.burst, atMs: nowMs };
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size > keysMax) forgetOldest();
    return bucket;
  }
  /** Only when there are too many: to find the first key of a Map takes longer, the more of those before it were taken out. */
  function forgetOldest(): void {
    const [oldest] = buckets.keys();
    if (oldest !== undefined) buckets.delete(oldest);
  }
  return {
    take(key, rate, nowMs, cost = 1) {
      return takeFrom(touch(key, rate, nowMs), rate, nowMs, cost);
    },
    charge(key, rate, nowMs, cost) {
      const bucket = touch(key, rate, nowMs);
      refill(bucket, rate, nowMs);
      bucket.tokens = Math.max(-Math.max(rate.burst, cost), bucket.tokens - cost);
    },
    get size() {
      return buckets.size;
    },
  };
}

/** Sums of binary fractions miss whole tokens by less than this. */
const rounding = 1e-6;

/** A clock that goes back refills nothing. */
function refill(bucket: Bucket, { burst, perSecond }: Rate, nowMs: number): void {
  const passedMs = Math.max(0, nowMs - bucket.atMs);
  bucket.tokens = Math.min(burst, bucket.tokens + (passedMs * perSecond) / 1000);
  bucket.atMs = Math.max(bucket.atMs, nowMs);
}

/** What is refused costs nothing: who waits as told gets through. */
function takeFrom(bucket: Bucket, rate: Rate, nowMs: number, cost: number): number {
  refill(bucket, rate, nowMs);
  if (bucket.tokens >= cost - rounding) {
    bucket.tokens -= cost;
    return 0;
  }
  return Math.ceil(((cost - bucket.tokens) / rate.perSecond) * 1000 - rounding);
}
