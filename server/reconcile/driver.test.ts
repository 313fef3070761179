import assert from "node:assert/strict";
import { test } from "node:test";
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

test("a loop that is nudged all the time rests as long as it works, so that reports of a big fleet do not take a whole core", async (t) => {
  const workMs = 40;
  const loop = startLoop({ name: "test", activate: () => delay(workMs), everyMs: 3_600_000, log });
  t.after(() => loop.stop());
  const end = performance.now() + 10 * workMs;
  while (performance.now() < end) {
    loop.nudge();
    await delay(1);
  }
  const { activations } = loop.status();
  assert.ok(activations >= 2 && activations <= 6, `${activations} activations`);
});
