import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  askedDelayMs,
  issuedAtMs,
  readRetryAfter,
  reconnectDelayMs,
  renewAfterMs,
  saysAway,
} from "./backoff.ts";

const backdatedMs = 300_000;

test("renewAfterMs() is 40 to 60 % of the time a certificate holds, also for one that is dated back by more than that", () => {
  const lives = fc.integer({ min: 60_000, max: 90 * 86_400_000 });
  const dice = fc.double({ min: 0, max: 0.999, noNaN: true });
  fc.assert(
    fc.property(lives, dice, (lifeMs, thrown) => {
      const issued = 1_700_000_000_000;
      const after = renewAfterMs(issued - backdatedMs, issued + lifeMs, thrown);
      assert.ok(after >= lifeMs * 0.4 - 1 && after <= lifeMs * 0.6 + 1);
      assert.equal(issuedAtMs(issued - backdatedMs, issued + lifeMs), issued);
    }),
  );
});

const dice = fc.double({ min: 0, max: 0.999_999, noNaN: true });

test("an agent never waits longer than five minutes of itself, and agents that wait that long do not move in step", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(2 ** 32), fc.boolean(), dice, (failures, windowMs, isAway, thrown) =>
      assert.ok(reconnectDelayMs({ failures, windowMs, isAway }, [thrown, 0]) <= 300_000),
    ),
  );
  const loss = { failures: 30, windowMs: 5_000, isAway: false };
  assert.ok(reconnectDelayMs(loss, [0.8, 0]) > 2 * reconnectDelayMs(loss, [0.2, 0]));
});

test("after an outage of any length the whole fleet comes back within its window, spread over all of it", () => {
  const windows = fc.integer({ min: 30_000, max: 100_000 });
  fc.assert(
    fc.property(fc.nat(1000), windows, dice, (failures, windowMs, thrown) => {
      const delayMs = reconnectDelayMs({ failures, windowMs, isAway: true }, [thrown, 0]);
      // The first try after a failure comes soon; each other one is anywhere in the window.
      assert.equal(delayMs, Math.floor((failures === 1 ? 1_000 : windowMs) * thrown));
    }),
  );
  assert.equal(reconnectDelayMs({ failures: 50, windowMs: 5_000, isAway: true }, [0.999_999, 0]), 29_999);
});

test("an agent that the server refuses comes less and less often", () => {
  const most = [2, 3, 4, 5, 6, 7, 8, 50].map((failures) =>
    reconnectDelayMs({ failures, windowMs: 5_000, isAway: false }, [0.999_999, 0]),
  );
  assert.deepEqual(most, [9_999, 19_999, 39_999, 79_999, 159_999, 299_999, 299_999, 299_999]);
  assert.deepEqual(["ECONNREFUSED", "unavailable", "permission_denied", "aborted"].map(saysAway), [
    true,
    true,
    false,
    false,
  ]);
});

test("a server that says when to come back is left alone until then, and agents that were told the same spread", () => {
  fc.assert(
    fc.property(
      fc.nat(10_000_000),
      fc.nat(300_000),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (asked, own, dice) => {
        const delay = askedDelayMs(asked, own, dice);
        assert.ok(delay >= Math.min(asked, 300_000) && delay >= own && delay <= Math.max(own, 450_000));
      },
    ),
  );
  assert.notEqual(askedDelayMs(5_000, 0, 0.1), askedDelayMs(5_000, 0, 0.9));
});

test("only a number of seconds counts as a time to come back", () => {
  assert.deepEqual(
    ["5", "0", "-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999", ""].map(readRetryAfter),
    [5_000, 0, ...Array<undefined>(5)],
  );
  assert.equal(readRetryAfter(null), undefined);
});
