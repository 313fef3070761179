import assert from "node:assert/strict";
import { test } from "node:test";

import { lifeOf, lifeStage, lifeUsed, newTargets, parseMetadata, trustedLives, type RoleName } from "#trust";

import { joined, makeBundle, makeRelease, makeRoot, newKeys, valueOf } from "./fixture.ts";
import { encodeMetadata } from "./metadata.ts";

const begins = new Date("2030-01-01T00:00:00Z");
const day = 86_400_000;
const after = (ms: number) => new Date(begins.getTime() + ms);

const hundredDays = { begins, ends: after(100 * day) };
const cases: readonly (readonly [days: number, offline: string, online: string])[] = [
  [-1, "fresh", "fresh"],
  [49.9, "fresh", "fresh"],
  [50, "aging", "fresh"],
  [54.9, "aging", "fresh"],
  [55, "aging", "aging"],
  [79.9, "aging", "aging"],
  [80, "expiring", "expiring"],
  [99.9, "expiring", "expiring"],
  [100, "expired", "expired"],
  [1000, "expired", "expired"],
];
for (const [days, offline, online] of cases) {
  test(`after ${days} of 100 days people's metadata is ${offline} and the server's ${online}`, () => {
    const stage = (role: RoleName) => lifeStage(role, hundredDays, after(days * day));
    assert.deepEqual([stage("root"), stage("targets")], [offline, offline]);
    assert.deepEqual([stage("snapshot"), stage("timestamp")], [online, online]);
  });
}

test("the part of a life that is over stays between none and all of it", () => {
  assert.equal(lifeUsed(hundredDays, after(-day)), 0);
  assert.equal(lifeUsed(hundredDays, after(25 * day)), 0.25);
  assert.equal(lifeUsed(hundredDays, after(200 * day)), 1);
});

test("a life that is shorter than usual is told by its own length", () => {
  const bytes = valueOf(newTargets(undefined, { add: [], now: begins, lifetimeMs: 10 * day }));
  assert.deepEqual(lifeOf(valueOf(parseMetadata("targets", bytes))), { begins, ends: after(10 * day) });
});

test("metadata that does not say when it was made, or says nonsense, has the usual life of its role", () => {
  for (const issued of [undefined, "yesterday", 7, "2031-01-01T00:00:00Z"]) {
    const bytes = encodeMetadata({
      _type: "targets",
      spec_version: "1.0.31",
      version: 1,
      expires: "2030-04-01T00:00:00Z",
      targets: {},
      ...(issued === undefined ? {} : { "x-falconry-issued": issued }),
    });
    assert.deepEqual(lifeOf(valueOf(parseMetadata("targets", bytes))), { begins, ends: after(90 * day) });
  }
});

test("an agent knows the life of everything it holds", async () => {
  const keys = newKeys();
  const root = await makeRoot(keys, begins, { lifetimeMs: 30 * day });
  const release = await makeRelease(keys, begins, [makeBundle()]);
  const lives = trustedLives(joined(root, release, begins));
  const days = Object.entries(lives).map(([role, { ends }]) => [
    role,
    (ends.getTime() - begins.getTime()) / day,
  ]);
  assert.deepEqual(Object.fromEntries(days), { root: 30, targets: 90, snapshot: 7, timestamp: 1 });
});
