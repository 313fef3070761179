import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { createBucket, createBuckets } from "./token-bucket.ts";

const rate = { burst: 3, perSecond: 2 };

test("a caller may burst, is then told how long to wait, and gets through when it waited that long", () => {
  const bucket = createBucket(rate, 0);
  assert.deepEqual([bucket.take(0), bucket.take(0), bucket.take(0)], [0, 0, 0]);
  assert.equal(bucket.take(0), 500);
  assert.equal(bucket.take(499), 1);
  assert.equal(bucket.take(500), 0);
});

test("no caller gets more than burst plus rate, however it spreads its calls", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(400), { maxLength: 200 }), (gaps) => {
      const bucket = createBucket(rate, 0);
      let now = 0;
      let taken = 0;
      for (const gap of gaps) {
        now += gap;
        if (bucket.take(now) === 0) taken += 1;
      }
      return taken <= rate.burst + (now * rate.perSecond) / 1000;
    }),
  );
});

test("a clock that goes back and comes again gives no tokens twice", () => {
  const bucket = createBucket({ burst: 1, perSecond: 1 }, 10_000);
  assert.equal(bucket.take(10_000), 0);
  assert.equal(bucket.take(0), 1000);
  assert.equal(bucket.take(10_000), 1000);
});

test("callers have buckets of their own, and a flood of keys holds no more memory than the bound", () => {
  const buckets = createBuckets(100);
  for (let i = 0; i < 3; i += 1) assert.equal(buckets.take("busy", rate, 0), 0);
  assert.ok(buckets.take("busy", rate, 0) > 0);
  assert.equal(buckets.take("other", rate, 0), 0);
  for (let i = 0; i < 10_000; i += 1) buckets.take(`flood ${i}`, rate, 0);
  assert.equal(buckets.size, 100);
});

test("a caller that keeps calling is not forgotten, so that its own flood cannot refill its bucket", () => {
  const buckets = createBuckets(10);
  for (let i = 0; i < 3; i += 1) buckets.take("busy", rate, 0);
  for (let i = 0; i < 1000; i += 1) {
    buckets.take(`other ${i}`, rate, 0);
    assert.ok(buckets.take("busy", rate, 0) > 0);
  }
});

test("who is charged for what it did pays also with an empty bucket, owes no more than a burst or the dearest charge, and gets in when it has paid", () => {
  const buckets = createBuckets(10);
  for (let i = 0; i < 3; i += 1) buckets.take("bad", rate, 0);
  buckets.charge("bad", rate, 0, 2);
  assert.equal(
    buckets.take("bad", rate, 1000),
    500,
    "two owed and two earned: the next comes after half a second",
  );
  assert.equal(buckets.take("bad", rate, 1500), 0);
  for (let i = 0; i < 100; i += 1) buckets.charge("bad", rate, 1500, 2);
  assert.equal(
    buckets.take("bad", rate, 1500),
    2000,
    "a debt of a burst of 3 and one to take, at two a second",
  );
  for (let i = 0; i < 100; i += 1) buckets.charge("bad", rate, 1500, 20);
  assert.equal(buckets.take("bad", rate, 1500), 10_500, "twenty owed and one to take");
  assert.equal(buckets.take("good", rate, 1500), 0);
});

test("an address whose every connection is cut for a flood is let in no more often than what it pays allows", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { minLength: 50, maxLength: 400 }), (gaps) => {
      const opening = { burst: 100, perSecond: 20 };
      const buckets = createBuckets(10);
      let now = 0;
      let admitted = 0;
      for (const gap of gaps) {
        now += gap;
        if (buckets.take("flooder", opening, now) > 0) continue;
        admitted += 1;
        buckets.charge("flooder", opening, now, 10);
      }
      // Each costs eleven; the debt that is forgiven at the bound is never reached by paying for what was let in.
      return admitted <= 1 + (opening.burst + (now * opening.perSecond) / 1000) / 11;
    }),
  );
});
