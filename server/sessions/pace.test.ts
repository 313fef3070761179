import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { createPace } from "./pace.ts";

/** Two at a time, for a second at most; `pass` lets time go by. */
function startPace(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let nowMs = 0;
  const heard: string[] = [];
  const tell = (item: string) => void heard.push(item);
  const pace = createPace<string>({ most: 2, msMax: 1_000, tell, steadyMs: () => nowMs });
  const pass = (ms: number) => {
    nowMs += ms;
    t.mock.timers.tick(ms);
  };
  return { pace, heard, pass };
}

test("a few hear of a change at once, and of a wave as many at a time as are served, in order", (t) => {
  const { pace, heard } = startPace(t);
  pace.add(["a", "b", "c", "d"]);
  assert.deepEqual([heard.join(), pace.waiting], ["a,b", 2]);
  pace.done("b");
  assert.equal(heard.join(), "a,b,c");
  pace.done("a");
  pace.done("c");
  assert.deepEqual([heard.join(), pace.waiting], ["a,b,c,d", 0]);
});

test("agents that do nothing hold up those behind them for a second and no longer, however many they are", (t) => {
  const { pace, heard, pass } = startPace(t);
  pace.add(["hung", "stuck", "c", "d", "e"]);
  pass(999);
  assert.equal(heard.join(), "hung,stuck");
  pass(1);
  assert.equal(heard.join(), "hung,stuck,c,d");
  pass(1_000);
  assert.deepEqual([heard.join(), pace.waiting], ["hung,stuck,c,d,e", 0]);
});

test("an agent that hung long ago does not hold up the next wave", (t) => {
  const { pace, heard, pass } = startPace(t);
  pace.add(["hung", "stuck"]);
  pass(60_000);
  pace.add(["c", "d"]);
  pass(0);
  assert.equal(heard.join(), "hung,stuck,c,d");
});

test("a second change while an agent takes the first one is heard of at once, and one that waits is not told twice", (t) => {
  const { pace, heard } = startPace(t);
  pace.add(["a", "b", "c"]);
  pace.add(["a", "c"]);
  assert.deepEqual([heard.join(), pace.waiting], ["a,b,a", 1]);
  pace.done("b");
  assert.equal(heard.join(), "a,b,a,c");
});

test("who has gone takes no turn, and leaves its own to the next", (t) => {
  const { pace, heard } = startPace(t);
  pace.add(["a", "b", "c", "d"]);
  pace.forget("c");
  pace.forget("a");
  assert.deepEqual([heard.join(), pace.waiting], ["a,b,d", 0]);
});

test("one that says something else while it waits keeps its turn; one that was told by another way counts from then on", (t) => {
  const { pace, heard } = startPace(t);
  pace.add(["a", "b", "c", "d"]);
  pace.done("c");
  assert.equal(pace.waiting, 2);
  pace.told("c");
  pace.done("a");
  assert.deepEqual([heard.join(), pace.waiting], ["a,b", 1], "b and c are still at it");
  pace.done("c");
  assert.equal(heard.join(), "a,b,d");
});
