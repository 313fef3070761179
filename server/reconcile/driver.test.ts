import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { pino } from "pino";

import { startLoop } from "./driver.ts";

const log = pino({ level: "silent" });

/** An activity that is let go on by hand. */
function gated() {
  const waiting: (() => void)[] = [];
  let [atOnce, atOnceMax] = [0, 0];
  return {
    activate: async () => {
      atOnce += 1;
      atOnceMax = Math.max(atOnceMax, atOnce);
      await new Promise<void>((resolve) => waiting.push(resolve));
      atOnce -= 1;
    },
    release: () => waiting.shift()?.(),
    waiting: () => waiting.length,
    atOnceMax: () => atOnceMax,
  };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > end) assert.fail(`never: ${what}`);
    await delay(1);
  }
}

test("any number of nudges during an activation make exactly one more, never two at a time", async (t) => {
  const work = gated();
  const loop = startLoop({ name: "test", activate: work.activate, everyMs: 3_600_000, log });
  t.after(() => loop.stop());
  for (let i = 0; i < 100; i += 1) loop.nudge();
  work.release();
  await until("the second activation", () => loop.status().activations === 2 && work.waiting() === 1);
  work.release();
  await until("rest", () => !loop.status().isRunning);
  assert.deepEqual([loop.status().activations, work.atOnceMax()], [2, 1]);
});

test("an activation that fails shows why and is tried again; the next success clears it", async (t) => {
  let isBroken = true;
  const loop = startLoop({
    name: "test",
    activate: () => (isBroken ? Promise.reject(new Error("no luck")) : Promise.resolve()),
    everyMs: 5,
    log,
  });
  t.after(() => loop.stop());
  await until("the failure", () => loop.status().failures > 1);
  assert.equal(loop.status().lastError, "no luck");
  isBroken = false;
  await until("the success", () => loop.status().lastError === undefined);
});

test("stop() waits for the running activation, and nothing runs after it", async () => {
  const work = gated();
  const loop = startLoop({ name: "test", activate: work.activate, everyMs: 1, log });
  loop.nudge();
  let isStopped = false;
  const stopping = loop.stop().then(() => {
    isStopped = true;
  });
  await delay(10);
  assert.equal(isStopped, false);
  work.release();
  await stopping;
  loop.nudge();
  assert.equal(loop.status().activations, 1);
});

/** A loop whose work takes as long as the test says, without taking it. */
function resting(t: TestContext, restMsMax: number) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let nowMs = 0;
  const work = gated();
  const { activate } = work;
  const loop = startLoop({
    name: "test",
    activate,
    everyMs: 3_600_000,
    restMsMax,
    log,
    steadyMs: () => nowMs,
  });
  t.after(() => {
    const stopped = loop.stop();
    work.release();
    return stopped;
  });
  const passes = (ms: number) => {
    nowMs += ms;
    t.mock.timers.tick(ms);
  };
  return {
    loop,
    passes,
    ends: async (tookMs: number) => {
      nowMs += tookMs;
      work.release();
      await settled();
    },
    activations: () => loop.status().activations,
  };
}

/** Lets everything go on that waits for no timer. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

const rests = [
  ["three times as long as it worked", 1_000, 3_000],
  ["for five seconds at most, whatever it was stuck in", 60_000, 5_000],
] as const;
for (const [how, workMs, restMs] of rests) {
  test(`a loop that reports nudge all the time rests ${how}`, async (t) => {
    const { loop, ends, passes, activations } = resting(t, 5_000);
    for (let before = 1; before <= 3; before += 1) {
      loop.nudge();
      await ends(workMs);
      loop.nudge();
      passes(restMs - 1);
      loop.nudge();
      assert.equal(activations(), before, "it did not rest");
      passes(1);
      assert.equal(activations(), before + 1, "the nudge was lost");
    }
  });
}

test("a loop that is only reminded rests nine times as long as it worked, which a nudge cuts short and a reminder never puts off", async (t) => {
  const { loop, ends, passes, activations } = resting(t, 60_000);
  loop.remind();
  await ends(1_000);
  loop.remind();
  passes(8_999);
  loop.remind();
  assert.equal(activations(), 1, "it did not rest");
  passes(1);
  assert.equal(activations(), 2, "the reminder was lost");
  await ends(1_000);
  loop.remind();
  passes(2_000);
  loop.nudge();
  loop.remind();
  passes(999);
  assert.equal(activations(), 2, "it did not rest");
  passes(1);
  assert.equal(activations(), 3, "the nudge was put off");
  await ends(60_000);
  loop.remind();
  passes(60_000);
  assert.equal(activations(), 4, "it rested for longer than it may");
});

test("what a person decides is acted on at once, although the loop rests, and right after the activation that runs", async (t) => {
  const { loop, ends, passes, activations } = resting(t, 5_000);
  await ends(60_000);
  loop.nudge();
  loop.urge();
  assert.equal(activations(), 2, "the person waits for the rest");
  loop.urge();
  loop.nudge();
  assert.equal(activations(), 2, "two at a time");
  await ends(60_000);
  assert.equal(activations(), 3);
  await ends(60_000);
  passes(5_000);
  assert.equal(activations(), 3, "nobody asked for another");
});
