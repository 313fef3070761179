import assert from "node:assert/strict";
import { test } from "node:test";

import { createThrottle } from "./log-throttle.ts";

test("a flood writes a few lines, the next line says how many were left out, and other kinds are not silenced", () => {
  let now = 0;
  const throttle = createThrottle({ burst: 2, perSecond: 1 }, () => now);
  const written: string[] = [];
  const say = (kind: string) => {
    throttle(kind, (leftOut) => written.push(`${kind} ${leftOut}`));
  };
  for (let i = 0; i < 1000; i += 1) say("flood");
  say("other");
  now = 1_000;
  say("flood");
  assert.deepEqual(written, ["flood 0", "flood 0", "other 0", "flood 998"]);
});
