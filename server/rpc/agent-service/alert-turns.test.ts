import assert from "node:assert/strict";
import { test } from "node:test";

import { takeInTurns } from "./alert-turns.ts";

test("a flood of alerts takes less than half of the database's connections, and what is too much is refused", async () => {
  let inWork = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const counts = { linedUp: 0, refused: 0 };
  const take = takeInTurns(
    async () => {
      inWork += 1;
      most = Math.max(most, inWork);
      await new Promise<void>((resolve) => waiting.push(resolve));
      inWork -= 1;
      return { stored: 1, notStored: 0 };
    },
    10,
    { countLinedUp: () => (counts.linedUp += 1), countRefused: () => (counts.refused += 1) },
  );
  const answered: number[] = [];
  const calls = Array.from({ length: 100 }, async (_, i) => {
    const outcome = await take(`cl_${i}`, [], new Date(0));
    answered.push(i);
    return outcome;
  });
  while (answered.length < 100) {
    waiting.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const outcomes = await Promise.all(calls);
  assert.equal(most, 4);
  assert.deepEqual(counts, { linedUp: 64, refused: 32 });
  assert.equal(outcomes.filter(({ ok }) => ok).length, 68);
});

test("a cluster that floods takes one turn and few places in line, and others are stored at once", async () => {
  const waiting: (() => void)[] = [];
  const begun: string[] = [];
  const take = takeInTurns(
    async (clusterId) => {
      begun.push(clusterId);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return { stored: 1, notStored: 0 };
    },
    10,
    { countLinedUp: () => undefined, countRefused: () => undefined },
  );
  const outcomes: boolean[] = [];
  const callers = [...Array.from({ length: 70 }, () => "cl_loud"), "cl_quiet"];
  const calls = callers.map(async (clusterId) => {
    outcomes.push((await take(clusterId, [], new Date(0))).ok);
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(begun, ["cl_loud", "cl_quiet"]);
  while (outcomes.length < callers.length) {
    waiting.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(calls);
  assert.equal(outcomes.filter(Boolean).length, 1 + 8 + 1);
});

test("a batch that cannot be stored gives its turn to the next", async () => {
  let isBroken = true;
  const take = takeInTurns(
    async () => {
      if (isBroken) throw new Error("The database is away");
      return { stored: 0, notStored: 0 };
    },
    2,
    { countLinedUp: () => undefined, countRefused: () => undefined },
  );
  await assert.rejects(take("cl_1", [], new Date(0)));
  isBroken = false;
  assert.ok((await take("cl_1", [], new Date(0))).ok);
});
