import assert from "node:assert/strict";
import { test } from "node:test";

import type { Entry } from "./ledger.ts";
import { judge, type Ended } from "./verdict.ts";

const blank = {
  atMs: 0,
  who: "a",
  rolloutId: "ro_1",
  clusterId: "",
  state: "",
  wave: 0,
  generation: 0n,
  digest: "",
};
const assigned = (clusterId: string, wave: number): Entry[] => [
  { ...blank, what: "assignment", clusterId, generation: 5n, digest: "new" },
  { ...blank, what: "cluster", clusterId, wave, state: "assigned" },
];
const proved = (clusterId: string, wave: number): Entry => ({
  ...blank,
  what: "cluster",
  clusterId,
  wave,
  state: "proved",
});
const right: Ended = {
  rolloutId: "ro_1",
  state: "succeeded",
  digest: "new",
  waves: 2,
  clusters: new Map([
    ["cl_1", 4n],
    ["cl_2", 4n],
  ]),
  entries: [...assigned("cl_1", 0), proved("cl_1", 0), ...assigned("cl_2", 1), proved("cl_2", 1)],
  applied: new Map([
    ["cl_1", ["new"]],
    ["cl_2", ["new"]],
  ]),
};

test("judge() finds nothing in a rollout that went as planned", () => {
  assert.deepEqual(judge(right), []);
});

const wrong: [string, Partial<Ended>, RegExp][] = [
  ["another end", { state: "paused" }, /ended as "paused"/],
  ["a target that was skipped", { entries: right.entries.slice(0, 3) }, /cl_2 was skipped/],
  ["a wave that was skipped", { waves: 3 }, /wave 2 was skipped/],
  [
    "a second assignment",
    { entries: [...right.entries, ...assigned("cl_1", 0)] },
    /cl_1 was assigned 2 times/,
  ],
  [
    "a second proof",
    { entries: [...right.entries, proved("cl_2", 1)] },
    /cl_2 went through: assigned, proved, proved/,
  ],
  [
    "a lost generation",
    { clusters: new Map([...right.clusters, ["cl_1", 3n]]) },
    /cl_1 went from generation 3 to 5/,
  ],
  [
    "an assignment by another rollout",
    {
      entries: right.entries.map((entry) =>
        entry.what === "assignment" ? { ...entry, rolloutId: "ro_2" } : entry,
      ),
    },
    /cl_1 was assigned new by ro_2/,
  ],
  [
    "a wave that began too early",
    { entries: [...assigned("cl_1", 0), ...assigned("cl_2", 1), proved("cl_1", 0), proved("cl_2", 1)] },
    /wave 1 began before/,
  ],
  [
    "an agent that applied twice",
    { applied: new Map([...right.applied, ["cl_1", ["new", "new"]]]) },
    /applied new, new/,
  ],
  [
    "an agent that applied nothing",
    { applied: new Map([["cl_1", ["new"]]]) },
    /agent of cl_2 applied nothing/,
  ],
];
for (const [what, change, says] of wrong) {
  test(`judge() finds ${what}`, () => {
    assert.match(judge({ ...right, ...change }).join("\n"), says);
  });
}
