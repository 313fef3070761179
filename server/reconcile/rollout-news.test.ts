import assert from "node:assert/strict";
import { test } from "node:test";

import { createRolloutNews } from "./rollout-news.ts";

type Phase = "received" | "applied" | "rejected" | "rolled-back";

/** After a look that saw rollouts wait for so many clusters, with so many proofs while it went on. */
function after(out: readonly number[], meanwhile = 0) {
  const news = createRolloutNews();
  news.looking();
  for (let i = 0; i < meanwhile; i += 1) assert.equal(news.isPressing([{ phase: "applied" }]), false);
  for (const clusters of out) news.waitsFor(clusters);
  const isReached = news.looked();
  return {
    isReached,
    pressing: (...phases: readonly Phase[]) => phases.map((phase) => news.isPressing([{ phase }])),
  };
}

test("a wave is looked at soon when as many have proved as are out, and after each failure", () => {
  const { pressing } = after([2]);
  assert.deepEqual(pressing("received", "applied", "received", "applied"), [false, false, false, true]);
  assert.deepEqual(after([9]).pressing("applied", "rejected", "rolled-back"), [false, true, true]);
  assert.deepEqual(after([0]).pressing("applied"), [true], "a proof that nobody waits for");
  assert.deepEqual(after([5_000, 1]).pressing("applied"), [true], "a canary beside a large wave");
});

test("agents that go on telling of what they applied do not make the rollouts be looked at all the time", () => {
  assert.deepEqual(after([1]).pressing("applied", "applied", "applied"), [true, false, false]);
  assert.deepEqual(after([]).pressing("applied", "applied"), [true, false]);
});

test("proofs that come while a look goes on count, for they may be missing in it, also when they are all", () => {
  assert.deepEqual(after([3], 2).pressing("applied"), [true]);
  assert.equal(after([2], 2).isReached, true);
  assert.equal(after([2], 5).isReached, true);
  assert.equal(after([2], 1).isReached, false);
  assert.equal(after([], 2).isReached, false, "nobody waits");
});

test("what a look saw does not count for the next", () => {
  const news = createRolloutNews();
  const prove = () => news.isPressing([{ phase: "applied" }]);
  assert.equal(prove(), false, "the first look is to come");
  for (let looks = 0; looks < 2; looks += 1) {
    news.looking();
    news.waitsFor(2);
    news.looked();
    assert.equal(prove(), false);
  }
});
