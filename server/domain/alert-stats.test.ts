import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  bucketsMax,
  hourMs,
  planBuckets,
  planCount,
  touchedHours,
  withoutHours,
  type TimeRange,
} from "./alert-stats.ts";

const hourUs = 3_600_000_000n;

function within({ fromUs, toUs }: TimeRange, time: bigint): boolean {
  return (fromUs === undefined || time >= fromUs) && (toUs === undefined || time < toUs);
}

test("planCount() covers a range once, hours by hours and the rest by alerts, whatever its ends", () => {
  const us = fc.bigInt({ min: 0n, max: 20n * 3_600_000_000n });
  const end = fc.option(us, { nil: undefined });
  fc.assert(
    fc.property(end, end, us, fc.constantFrom(undefined, hourMs, 60_000), (sinceUs, untilUs, at, everyMs) => {
      const range = {
        ...(sinceUs === undefined ? {} : { sinceUs }),
        ...(untilUs === undefined ? {} : { untilUs }),
      };
      const plan = planCount(range, everyMs);
      const hour = (at / hourUs) * hourUs;
      const counted = plan.alerts.filter((each) => within(each, at)).length;
      const byHour = plan.hours !== undefined && within(plan.hours, hour) ? 1 : 0;
      const isWanted = (sinceUs === undefined || at >= sinceUs) && (untilUs === undefined || at < untilUs);
      assert.equal(counted + byHour, isWanted ? 1 : 0);
      if (isWanted) assert.ok(within(touchedHours(range), hour));
    }),
  );
});

test("withoutHours() still covers a range once, and reads the hours that it is told from the alerts", () => {
  const us = fc.bigInt({ min: 0n, max: 20n * hourUs });
  const end = fc.option(us, { nil: undefined });
  const some = fc.array(fc.bigInt({ min: 0n, max: 20n }).map((n) => n * hourUs));
  fc.assert(
    fc.property(end, end, us, some, (sinceUs, untilUs, at, uncounted) => {
      const plan = planCount(
        { ...(sinceUs === undefined ? {} : { sinceUs }), ...(untilUs === undefined ? {} : { untilUs }) },
        hourMs,
      );
      const hour = (at / hourUs) * hourUs;
      const wasByHour = plan.hours !== undefined && within(plan.hours, hour);
      const isByHour = wasByHour && !uncounted.includes(hour);
      const isByAlert = plan.alerts.some((each) => within(each, at)) || (wasByHour && !isByHour);
      const split = withoutHours(plan, uncounted);
      const times = (ranges: readonly TimeRange[], time: bigint) =>
        ranges.filter((each) => within(each, time)).length;
      assert.deepEqual(
        [times(split.hours, hour), times(split.alerts, at)],
        [isByHour ? 1 : 0, isByAlert ? 1 : 0],
      );
      for (const { fromUs = 0n } of split.hours) assert.equal(fromUs % hourUs, 0n);
    }),
  );
  const day = planCount({ sinceUs: 0n, untilUs: 24n * hourUs }, hourMs);
  assert.equal(withoutHours(day, [7n * hourUs, 8n * hourUs, 6n * hourUs]).alerts.length, 1);
});

test("planBuckets() begins at a multiple from the epoch on and reaches the end", () => {
  const day = planBuckets(Date.parse("2026-11-28T12:17:00Z"), Date.parse("2026-11-29T12:17:00Z"), hourMs);
  assert.ok(day.ok);
  assert.deepEqual(day.value, { firstMs: Date.parse("2026-11-28T12:00:00Z"), everyMs: hourMs, count: 25 });
  for (const [sinceMs, untilMs, everyMs] of [
    [0, 1, 59_000],
    [0, 1, 90_500],
    [5, 5, hourMs],
    [0, (bucketsMax + 1) * hourMs, hourMs],
    [0, hourMs, Number.NaN],
  ] as const) {
    assert.ok(!planBuckets(sinceMs, untilMs, everyMs).ok);
  }
});
