import assert from "node:assert/strict";
import { test } from "node:test";

import { shared } from "./shared.ts";

function counted() {
  const state = { nowMs: 0, asked: [] as string[] };
  const share = shared<string>({ keptMs: 3_000, answersMax: 2, now: () => state.nowMs });
  const ask = (key: string) =>
    share(key, async () => {
      const mine = `${key} ${state.asked.push(key)}`;
      await Promise.resolve();
      return mine;
    });
  return { state, share, ask };
}

test("who asks the same while it is worked out, or a little later, gets the answer of who asked first", async () => {
  const { state, ask } = counted();
  const first = [ask("a"), ask("a"), ask("b")];
  // However long it takes: a second one beside it would only make both slower.
  state.nowMs = 10_000;
  assert.deepEqual(await Promise.all([...first, ask("a")]), ["a 1", "a 1", "b 2", "a 1"]);
  state.nowMs = 12_999;
  assert.equal(await ask("a"), "a 1");
  state.nowMs = 13_000;
  assert.equal(await ask("a"), "a 3");
});

test("an error goes to all who wait for it, and the next one asks anew", async () => {
  const { share, ask } = counted();
  const fail = () => share("a", () => Promise.reject(new Error("the database is away")));
  const both = await Promise.allSettled([fail(), fail()]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.equal(await ask("a"), "a 1");
});

test("no more answers are kept than there is room for, however many questions there are", async () => {
  const { state, ask } = counted();
  for (const key of ["a", "b", "c", "b", "a"]) await ask(key);
  assert.deepEqual(state.asked, ["a", "b", "c", "a"]);
});
