import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { lookBack, stoppedText, untilText } from "./look-back.ts";

const newestMs = Date.parse("2026-11-29T12:00:00Z");

/** Alerts of which one in so many calls matches; each call takes a second and looks at a minute. */
function rareList(oneIn: number, calls: number) {
  let [nowMs, asked] = [newestMs, 0];
  const said: string[] = [];
  const get = (_token: string) => {
    asked += 1;
    nowMs += 1_000;
    const alerts = asked % oneIn === 0 ? [asked] : [];
    const lookedBackTo = timestampFromMs(newestMs - asked * 60_000);
    return Promise.resolve({ alerts, nextPageToken: asked === calls ? "" : `${asked}`, lookedBackTo });
  };
  const look = (limit: number) =>
    lookBack(get, (page: { readonly alerts: readonly number[] }) => page.alerts, {
      limit,
      noun: "alert",
      say: (line) => said.push(line),
      now: () => nowMs,
    });
  return { look, said };
}

test("a look for what is rare among very many alerts says how far it is, and keeps what it found when it comes to no end", async () => {
  const { look, said } = rareList(900, 100_000);
  const { items, isMore, stopped } = await look(50);
  assert.deepEqual([items, isMore, stopped?.calls], [[900, 1_800], true, 2_000]);
  assert.deepEqual(said.slice(0, 2), [
    "Looked back to 2026-11-29T11:55:00Z: 0 alerts so far.",
    "Looked back to 2026-11-29T11:50:00Z: 0 alerts so far.",
  ]);
  assert.equal(said.length, 399);
  // Where it goes on, nothing is left out: an end is before its time.
  assert.ok(stopped?.at !== undefined);
  assert.equal(untilText(stopped.at), new Date(newestMs - 2_000 * 60_000 + 1).toISOString());
});

test("what a look found is kept when a later call fails, with how far it came and why; a first call that fails is all there is to say", async () => {
  const lookedBackTo = timestampFromMs(newestMs);
  const failure = new Error("away");
  const failingAt = (nth: number) => {
    let calls = 0;
    const get = () => {
      calls += 1;
      if (calls === nth) return Promise.reject(failure);
      return Promise.resolve({ alerts: [calls], nextPageToken: `${calls}`, lookedBackTo });
    };
    const how = { limit: 50, noun: "alert", say: () => {}, now: () => 0 };
    return lookBack(get, (page: { readonly alerts: readonly number[] }) => page.alerts, how);
  };
  const { items, isMore, stopped } = await failingAt(3);
  assert.deepEqual([items, isMore], [[1, 2], true]);
  assert.ok(stopped !== undefined);
  assert.deepEqual(stopped, { at: lookedBackTo, calls: 2, failure });
  assert.equal(stoppedText(stopped), "Looked back to 2026-11-29T12:00:00Z in 2 calls until one failed");
  await assert.rejects(failingAt(1), failure);
});

test("a look ends with enough, or with the last page, and says nothing of itself when it is short", async () => {
  const enough = rareList(1, 100);
  assert.deepEqual(await enough.look(3), { items: [1, 2, 3], isMore: true });
  const all = rareList(2, 4);
  assert.deepEqual(await all.look(50), { items: [2, 4], isMore: false });
  assert.deepEqual([...enough.said, ...all.said], []);
  const same = () => Promise.resolve({ alerts: [], nextPageToken: "again" });
  const how = { limit: 1, noun: "alert", say: () => {}, now: () => 0 };
  await assert.rejects(
    lookBack(same, (page) => page.alerts, how),
    /does not end/,
  );
});
