import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { askedDelayMs, issuedAtMs, readRetryAfter, reconnectDelayMs, renewAfterMs } from "./backoff.ts";

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

test("reconnectDelayMs() never waits longer than five minutes, and still throws dice there", () => {
  fc.assert(
    fc.property(
      fc.nat(1000),
      fc.nat(2 ** 32),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (n, window, dice) => assert.ok(reconnectDelayMs(n, window, dice) <= 300_000),
    ),
  );
  assert.notEqual(reconnectDelayMs(30, 5_000, 0.2), reconnectDelayMs(30, 5_000, 0.8));
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
