import assert from "node:assert/strict";
import { test } from "node:test";

import { compileMatchers, parseMatchers } from "../domain/alert-matcher.ts";
import { noFacts } from "./alerts.ts";
import { workInTurns } from "../turns.ts";
import { createPatternTime, itemsWithin, PatternsTooSlow } from "./pattern-time.ts";

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
  await assert.rejects(createPatternTime(1_000).pick(madeForIt(2_000), of), PatternsTooSlow);
  assert.ok(turns > 0, "nobody else had a turn");

  const written = Array.from({ length: 2_000 }, (_, i) => `exec by alice in pod checkout-${i}`);
  assert.deepEqual(await createPatternTime(60_000).pick(written, of), []);
});

test("the time of a question's patterns is for all its parts together, and what passes keeps its order", async (t) => {
  let nowMs = 0;
  t.mock.method(performance, "now", () => nowMs);
  const time = createPatternTime(30);
  const isOdd = (n: number) => n % 2 === 1;
  assert.deepEqual(await time.pick([3, 2, 1], isOdd), [3, 1]);
  const slow = () => {
    nowMs += 12;
    return true;
  };
  assert.deepEqual(await time.pick([1], slow), [1]);
  assert.deepEqual(await time.pick([2], slow), [2]);
  await assert.rejects(time.pick([3], slow), PatternsTooSlow);
});

test("patterns that somebody waits for with a transaction end in time although others take long turns between theirs, and so do silences, which go on with the next", async (t) => {
  let nowMs = 0;
  t.mock.method(performance, "now", () => nowMs);
  const others = () => {
    nowMs += 2_000;
    if (nowMs < 20_000) setImmediate(others);
  };
  setImmediate(others);
  const slow = () => {
    nowMs += 12;
    return true;
  };
  const items = Array.from({ length: 100 }, (_, i) => i);
  await assert.rejects(createPatternTime(60_000, 5_000).pick(items, slow), PatternsTooSlow);
  assert.ok(nowMs < 10_000, `it took ${nowMs} ms`);
  const tried: number[] = [];
  await workInTurns(itemsWithin(items, 3_000), (item) => void (slow() && tried.push(item)));
  assert.deepEqual(tried, items.slice(0, tried.length));
  assert.ok(tried.length > 0 && tried.length < 10, `${tried.length} were tried`);
});
