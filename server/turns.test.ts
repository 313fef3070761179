import assert from "node:assert/strict";
import { test } from "node:test";

import { inTurns } from "./turns.ts";

test("a query that looks at many lines lets others have their turn, and ends when nobody waits for it", async () => {
  let [isTheirTurn, seen] = [false, 0];
  setImmediate(() => (isTheirTurn = true));
  const look = async () => {
    for await (const line of inTurns(
      Array.from({ length: 1_000 }, (_, index) => index),
      () => {
        if (isTheirTurn) throw new Error("nobody waits");
      },
    )) {
      seen = line;
      for (const until = performance.now() + 1; performance.now() < until;);
    }
  };
  await assert.rejects(look(), /nobody waits/);
  assert.ok(seen < 999, String(seen));
});
