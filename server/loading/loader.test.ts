import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Worker } from "node:worker_threads";

import { defaultLimits, type LoadingLimits } from "../limits.ts";
import { rulesBundle } from "../testing.ts";
import { createBundleLoader, type BundleLoader } from "./loader.ts";
import { largeBundle, pushOf, slowBundle } from "./testing.ts";
import { createThreads } from "./threads.ts";

const good = pushOf(rulesBundle("1.0.0"));
const slow = pushOf(slowBundle("1.0.0"));

function start(t: TestContext, change: Partial<LoadingLimits> = {}) {
  const refused: string[] = [];
  const limits = { ...defaultLimits.loading, workMs: 600_000, ...change };
  const threads = createThreads(limits.memoryMiBMax);
  const taken: Worker[] = [];
  const loader = createBundleLoader({
    limits,
    threads: {
      ...threads,
      take() {
        const thread = threads.take();
        taken.push(thread);
        return thread;
      },
    },
    onRefused: (reason) => refused.push(reason),
  });
  t.after(async () => {
    await loader.stop();
    await threads.stop();
  });
  return { loader, limits, refused, taken };
}

async function passes(loader: BundleLoader): Promise<void> {
  const outcome = await loader.run("checkPush", good);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  assert.deepEqual(
    outcome.value.map(({ name, version, counts }) => [name, version, counts]),
    [["starter", "1.0.0", { rules: 1, macros: 0, lists: 0 }]],
  );
}

test("while a push at the bounds of the rule language loads, the process and the plans of others go on; a caller who leaves ends it", async (t) => {
  const { loader, refused } = start(t);
  const caller = new AbortController();
  let isSettled = false;
  const push = loader.run("checkPush", slow, caller.signal).finally(() => (isSettled = true));
  const [content = new Uint8Array()] = good.bundles;
  assert.deepEqual(await loader.run("ruleNames", content), { ok: true, value: new Set(["Exec into pod"]) });
  // No loader that works in this thread gives it up so often: it loads once.
  for (let turn = 0; turn < 1000; turn += 1) await setImmediate();
  assert.equal(isSettled, false);
  assert.equal(loader.inWork, 1);
  caller.abort(new Error("the caller left"));
  await assert.rejects(push, /the caller left/);
  assert.equal(loader.inWork, 0);
  await passes(loader);
  assert.deepEqual(refused, [], "a caller who leaves is nothing that the server refused");
});

test("a push that takes too long is refused with what to do, and the next good one passes", async (t) => {
  const { loader, limits, refused, taken } = start(t, { workMs: 1_000 });
  const outcome = await loader.run("checkPush", slow);
  assert.ok(!outcome.ok && outcome.refusal.kind === "over-limit");
  assert.match(outcome.refusal.why, /ended after 1 s: make it smaller: fewer or shorter lists/);
  // However busy the machine is.
  limits.workMs = 600_000;
  await passes(loader);
  assert.deepEqual(refused, ["too-long"]);
  assert.equal(new Set(taken).size, 2, "the thread that was ended was used again");
});

test("a push that takes too much memory ends its thread and not the server, and the next good one passes", async (t) => {
  const { loader, refused } = start(t, { memoryMiBMax: 48 });
  const outcome = await loader.run("checkPush", pushOf(largeBundle("1.0.0")));
  assert.ok(!outcome.ok && outcome.refusal.kind === "over-limit");
  assert.match(outcome.refusal.why, /takes more than 48 MiB of memory: make it smaller/);
  await passes(loader);
  assert.deepEqual(refused, ["too-much-memory"]);
});

test("a thread that dies fails the push that it had in work, and another takes its place", async (t) => {
  const { loader, refused, taken } = start(t);
  await passes(loader);
  const push = loader.run("checkPush", slow);
  const [thread] = taken.slice(-1);
  await Promise.all([assert.rejects(push, /The thread that loads bundles died/), thread?.terminate()]);
  await passes(loader);
  assert.deepEqual(refused, ["died"]);
  assert.equal(taken[0], taken[1], "a thread that did its work is used again");
  assert.notEqual(taken[1], taken[2]);
});

test("a bug in the work fails that work alone, and its thread is used again", async (t) => {
  const { loader, taken } = start(t);
  const nothing = { contents: new Map(), terms: new Map(), after: "sha256:none", pairs: [] };
  await assert.rejects(loader.run("compareBundles", nothing), /The bundle sha256:none cannot be read/);
  await passes(loader);
  assert.equal(taken[0], taken[1]);
});

test("more pushes than may wait are told to come back; those that wait get their turn, and none is left out at the end", async (t) => {
  const { loader, refused } = start(t, { waitingMax: 2 });
  const caller = new AbortController();
  const first = loader.run("checkPush", slow, caller.signal);
  const leaver = new AbortController();
  const waiting = [passes(loader), loader.run("checkPush", good, leaver.signal)];
  assert.equal(loader.waiting, 2);
  const full = await loader.run("checkPush", good);
  assert.ok(!full.ok && full.refusal.kind === "unavailable");
  assert.match(full.refusal.why, /2 more calls wait for that: try again in 5 s/);
  assert.equal(full.refusal.retryAfterMs, 5_000);
  leaver.abort(new Error("left the line"));
  await assert.rejects(async () => waiting[1], /left the line/);
  assert.equal(loader.waiting, 1);
  caller.abort(new Error("the caller left"));
  await assert.rejects(first, /the caller left/);
  await waiting[0];
  assert.deepEqual([refused, loader.waiting, loader.inWork], [["line-full"], 0, 0]);
  const last = [loader.run("checkPush", slow), loader.run("checkPush", good)];
  await loader.stop();
  for (const outcome of await Promise.all(last)) {
    assert.ok(!outcome.ok && outcome.refusal.kind === "unavailable");
  }
});
