import assert from "node:assert/strict";
import { test } from "node:test";

import { compileMatchers, parseMatchers } from "../domain/alert-matcher.ts";
import { noFacts } from "./alerts.ts";
import { createPatternTime, PatternsTooSlow } from "./pattern-time.ts";

/** Texts of two letters in no order, of which a pattern that counts has to remember each place: nothing that it saw before helps it. */
function madeForIt(count: number): readonly string[] {
  let seed = 1;
  const letter = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % 2 === 0 ? "a" : "b";
  };
  return Array.from({ length: count }, () => Array.from({ length: 1_000 }, letter).join(""));
}

test("a pattern that takes for ever on texts made for it ends its question, while everybody else has turns, and the same pattern is tried on what people write", async () => {
  const matchers = parseMatchers("matchers", "output=~`[ab]*a[ab]{120}b.*`");
  assert.ok(matchers.ok);
  const meets = compileMatchers(matchers.value);
  const of = (output: string) => meets({ ...noFacts, output });
  let turns = 0;
  const count = () => {
    turns += 1;
    if (turns < 3) setImmediate(count);
  };
  setImmediate(count);
  await assert.rejects(createPatternTime(200).pick(madeForIt(2_000), of), PatternsTooSlow);
  assert.ok(turns > 0, "nobody else had a turn");

  const written = Array.from({ length: 2_000 }, (_, i) => `exec by alice in pod checkout-${i}`);
  assert.deepEqual(await createPatternTime(60_000).pick(written, of), []);
});

test("the time of a question's patterns is for all its parts together, and what passes keeps its order", async () => {
  const time = createPatternTime(30);
  const isOdd = (n: number) => n % 2 === 1;
  assert.deepEqual(await time.pick([3, 2, 1], isOdd), [3, 1]);
  const slow = () => {
    const begunMs = performance.now();
    while (performance.now() - begunMs < 12);
    return true;
  };
  await assert.rejects(async () => {
    for (let part = 0; part < 10; part += 1) await time.pick([part], slow);
  }, PatternsTooSlow);
});
