import assert from "node:assert/strict";
import { test } from "node:test";

import { judgeHealth, type AgentFacts, type AssignmentFacts } from "./cluster-health.ts";
import { inherit, type Precedent } from "./inherit.ts";
import type { Digest, RolloutId } from "./ids.ts";
import { dayText, planPartitions } from "./partitions.ts";

const [old, wanted] = ["sha256:old" as Digest, "sha256:wanted" as Digest];
const nowMs = 1_000_000_000;
const running = (digest: Digest) => [{ kind: "rules" as const, running: digest }];
const failed = (phase: string, digest: Digest) => [
  {
    kind: "rules" as const,
    running: old,
    attempt: { digest, generation: 2n, phase, reason: "trust/expired", detail: "" },
  },
];
const agent: AgentFacts = {
  name: "node-1",
  createdMs: 0,
  lastSeenMs: nowMs - 1_000,
  certificateExpiresMs: nowMs + 1,
  components: running(wanted),
  conditions: [],
};
const assigned: AssignmentFacts = { rules: wanted };

const cases: readonly (readonly [string, readonly Partial<AgentFacts>[], string, RegExp])[] = [
  ["that runs what is assigned", [{}], "healthy", /^$/],
  [
    "that proves something else",
    [{ components: running(old) }],
    "updating",
    /does not prove its assigned rules yet/,
  ],
  [
    "that rejected what is assigned",
    [{ components: failed("rejected", wanted) }],
    "degraded",
    /rejected its assigned rules: trust\/expired/,
  ],
  [
    "that rolled back by itself",
    [{ components: failed("rolled-back", wanted) }],
    "degraded",
    /rolled back from/,
  ],
  [
    "that rejected something that is no longer assigned",
    [{ components: failed("rejected", old) }],
    "updating",
    /./,
  ],
  [
    "that reports a condition",
    [{ conditions: [{ code: "output/unreachable", message: "no route" }] }],
    "degraded",
    /reports output\/unreachable: no route/,
  ],
  [
    "whose root metadata has half of its life behind it",
    [{ conditions: [{ code: "trust/aging root", message: "More than half" }] }],
    "healthy",
    /^$/,
  ],
  [
    "whose targets metadata is about to expire",
    [
      {
        conditions: [
          { code: "trust/aging root", message: "More than half" },
          { code: "trust/expiring targets", message: "More than 80 %" },
        ],
      },
    ],
    "degraded",
    /reports trust\/expiring targets: More than 80 %/,
  ],
  [
    "with one silent agent of two",
    [{}, { name: "node-2", lastSeenMs: nowMs - 61_000 }],
    "silent",
    /"node-2" was last heard of 61 s ago/,
  ],
  [
    "that slept through the end of its certificate",
    [{ lastSeenMs: nowMs - 61_000, certificateExpiresMs: nowMs }],
    "silent",
    /61 s ago, and its certificate has expired: enrol it again/,
  ],
  [
    "that is silent and had a condition",
    [{ lastSeenMs: nowMs - 61_000, conditions: [{ code: "x", message: "" }] }],
    "silent",
    /./,
  ],
  [
    "with one of two agents that has left",
    [{}, { name: "node-2", lastSeenMs: nowMs - 300_000, leftMs: nowMs - 300_000 }],
    "healthy",
    /^$/,
  ],
  ["whose agent restarts", [{ leftMs: nowMs - 1_000 }], "healthy", /^$/],
  [
    "whose agents have left one after the other",
    [
      { name: "node-0", lastSeenMs: nowMs - 900_000, leftMs: nowMs - 900_000 },
      { lastSeenMs: nowMs - 300_000, leftMs: nowMs - 300_000 },
    ],
    "silent",
    /^agent "node-1" left 5 min ago, and no other is there: nobody watches this cluster \(and 1 more\)$/,
  ],
  ["without agents", [], "silent", /has no agent/],
];
for (const [what, agents, health, reason] of cases) {
  test(`judgeHealth() finds a cluster ${what} ${health}`, () => {
    const judged = judgeHealth(
      assigned,
      agents.map((each) => ({ ...agent, ...each })),
      nowMs,
    );
    assert.equal(judged.health, health);
    assert.match(judged.reason, reason);
  });
}

test("an agent that has just enrolled is updating, and silent when it does not come", () => {
  const { lastSeenMs: _, ...never } = agent;
  assert.equal(judgeHealth(assigned, [{ ...never, createdMs: nowMs - 1_000 }], nowMs).health, "updating");
  const late = judgeHealth(assigned, [{ ...never, createdMs: nowMs - 61_000 }], nowMs);
  assert.deepEqual(late, { health: "silent", reason: 'agent "node-1" has never connected' });
});

const precedent = (id: string, change: Partial<Precedent>): Precedent => ({
  id: id as RolloutId,
  kind: "rules",
  digest: `sha256:${id}` as Digest,
  selector: [],
  state: "succeeded",
  createdAtMs: 1,
  isListed: true,
  ...change,
});

test("inherit() takes the newest success of each kind that chose clusters like this one", () => {
  const eu = { region: "eu" };
  const us = [{ key: "region", operator: "in" as const, values: ["us"] }];
  const got = inherit(
    [
      precedent("old", { createdAtMs: 1 }),
      precedent("new", { createdAtMs: 2 }),
      precedent("elsewhere", { createdAtMs: 3, selector: us }),
      precedent("withdrawn", { createdAtMs: 4, isListed: false }),
      precedent("undone", { createdAtMs: 5, state: "rolled-back" }),
      precedent("running", { createdAtMs: 6, state: "running" }),
      precedent("shipper", { kind: "shipper", state: "running" }),
      precedent("payments 1", { kind: "layer/payments", createdAtMs: 1 }),
      precedent("payments 2", { kind: "layer/payments", createdAtMs: 2 }),
      precedent("cards", { kind: "layer/cards", selector: us }),
    ],
    eu,
  );
  assert.deepEqual([got.rules?.id, got.shipper?.id], ["new", "shipper"]);
  assert.deepEqual(
    got.layers.map(({ id }) => id),
    ["payments 2"],
  );
  assert.deepEqual(inherit([precedent("payments", { kind: "layer/payments" })], eu), { layers: [] });
});

test("dayText() agrees with the calendar on every day from 1900 to 2200", () => {
  for (let day = -25_567; day < 84_000; day += 1) {
    const want = new Date(day * 86_400_000).toISOString().slice(0, 10);
    if (dayText(day) !== want) assert.equal(dayText(day), want);
  }
});

test("planPartitions() wants nothing once its plan is done, and leaves strangers alone", () => {
  const at = Date.UTC(2026, 1, 27, 23, 59);
  const first = planPartitions("alerts", ["alerts_20260101", "alerts_old", "alerts_20260231"], at, 30);
  assert.deepEqual(
    first.drop.map((each) => each.name),
    ["alerts_20260101"],
  );
  const names = first.create.map((each) => each.name);
  assert.deepEqual(names, [
    "alerts_20260226",
    "alerts_20260227",
    "alerts_20260228",
    "alerts_20260301",
    "alerts_20260302",
    "alerts_20260303",
  ]);
  assert.deepEqual(planPartitions("alerts", names, at, 30), { create: [], drop: [] });
});
