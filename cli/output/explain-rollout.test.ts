import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClusterFacts, explainRollout } from "./explain-rollout.ts";
import type { ClusterProgress, ClusterStep, GateLine, RolloutProgress } from "./rollout.ts";

const now = 10_000_000;
const minute = 60_000;
const limits = {
  deadlineMs: 10 * minute,
  soakMs: 0,
  failuresMax: 0,
  awaitsSilent: false,
  isShadowOver: false,
  isPending: false,
};
const cluster = (name: string, step: ClusterStep, reason = ""): ClusterProgress => ({
  name,
  step,
  reason,
  assignedAt: now - 4 * minute,
});
const running: RolloutProgress = {
  id: "ro_7f3a",
  kind: "rules",
  bundle: "starter@1.2.0",
  state: "running",
  because: '"eu 1 of 2" waits for eu-3 (agent "node-1" is silent)',
  wave: 1,
  createdAt: now - 20 * minute,
  waves: [
    { name: "canary eu", clusters: [cluster("eu-1", "proved")] },
    {
      name: "eu 1 of 2",
      startedAt: now - 4 * minute,
      clusters: [cluster("eu-2", "proved"), cluster("eu-3", "assigned", 'agent "node-1" is silent')],
    },
    { name: "us", clusters: [cluster("us-1", "waiting")] },
  ],
};
const silent: ClusterFacts = {
  name: "eu-3",
  health: "silent",
  healthReason: 'agent "node-1" was last heard of 12 min ago',
  lastSeenAt: now - 12 * minute,
};

test("a rollout that waits is explained by who holds it up, what was last heard, and what lets it go on by when", () => {
  const { text, heldUpBy, next } = explainRollout(running, [silent], limits, now);
  assert.equal(
    text,
    [
      'Rollout ro_7f3a of rules starter@1.2.0 is running for 20m, in wave 2 of 3 ("eu 1 of 2", begun 4m ago, 1 of 2 proved); in all 2 of 4 clusters proved it.',
      'It waits for eu-3, which got the bundle 4m ago and has not proved it: agent "node-1" is silent;',
      "it was last heard of 12m ago and is silent.",
      'It goes on when each of them proves the bundle, and then wave 3 ("us") begins.',
      "One that does not prove within 6m counts as failed, and none may fail.",
    ].join(" "),
  );
  assert.deepEqual(heldUpBy, ["eu-3"]);
  assert.equal(next[0], "fleetctl cluster show eu-3");
});

test("a paused rollout names the failed cluster, its reason and both ways out", () => {
  const reason =
    'agent "node-1" went back by itself: soak/crash-loop: The pipeline died 3 times within its soak';
  const paused: RolloutProgress = {
    ...running,
    state: "paused",
    because: `1 failed, 0 allowed: eu-3 (${reason})`,
    waves: running.waves.map((wave) => ({
      ...wave,
      clusters: wave.clusters.map((each) =>
        each.name === "eu-3" ? cluster("eu-3", "failed", reason) : each,
      ),
    })),
  };
  const { text, next } = explainRollout(paused, [], limits, now);
  assert.match(text, /is paused for 20m/);
  assert.match(text, /eu-3 failed: agent "node-1" went back by itself: soak\/crash-loop/);
  assert.match(text, /waits for a person: resume .* undo /);
  assert.deepEqual(next, [
    "fleetctl cluster show eu-3",
    "fleetctl rollout resume ro_7f3a",
    "fleetctl rollout undo ro_7f3a",
  ]);
});

test("a rollout that soaks is explained in the server's words, with gates that do not hold", () => {
  const words = "no minute is whole yet";
  const alerts: GateLine = { gate: "alerts", state: "waits", measured: "", limit: "", words };
  const waves = running.waves.map((wave, index) => ({
    ...wave,
    clusters: wave.clusters.map((each) => (index === 1 ? cluster(each.name, "proved") : each)),
    gates: index === 1 ? [alerts] : [],
  }));
  const { text, heldUpBy } = explainRollout(
    { ...running, waves, because: "soaks for 300 s" },
    [],
    limits,
    now,
  );
  assert.match(text, /The server says: soaks for 300 s\. Gate alerts waits: no minute is whole yet\./);
  assert.match(text, /goes on by itself, and then wave 3/);
  assert.deepEqual(heldUpBy, []);
});

test("a wave that fails at a time unless something happens is not said to go on by itself", () => {
  const waves = running.waves.map((wave, index) => ({
    ...wave,
    clusters: wave.clusters.map((each) => (index === 1 ? cluster(each.name, "proved") : each)),
  }));
  const because =
    '"eu 1 of 2" has soaked; gate ingest waits: no rates come from: eu-2; fails at 2026-11-30 10:00 UTC unless that is over';
  const { text } = explainRollout({ ...running, waves, because }, [], limits, now);
  assert.match(text, /fails at 2026-11-30 10:00 UTC unless that is over\./);
  assert.match(text, /goes on when that is over in time, and then wave 3/);
  assert.doesNotMatch(text, /goes on by itself/);
});

test("a cluster of which one node is silent while others are heard of is offered as one whose node was replaced", () => {
  const live = { ...silent, health: "silent", lastSeenAt: now - 5_000 };
  const { next } = explainRollout(running, [live], limits, now);
  assert.ok(next.includes("fleetctl agent revoke eu-3 node-1   when that node is gone for good"));
  assert.ok(!explainRollout(running, [silent], limits, now).next.some((line) => line.includes("revoke")));
});

test("a wave that waits for a cluster that proved and is silent since names it, by when it fails, and the node that may be gone", () => {
  const reason = 'agent "node-1" is silent';
  const waves = running.waves.map((wave, index) => ({
    ...wave,
    clusters: wave.clusters.map((each) =>
      index === 1 ? cluster(each.name, "proved", each.name === "eu-3" ? reason : "") : each,
    ),
  }));
  const because = `"eu 1 of 2" has soaked; waits to hear again of eu-3 (${reason}); fails at 2026-11-30 10:00 UTC unless that is over`;
  const live = { ...silent, lastSeenAt: now - 5_000 };
  const { text, heldUpBy, next } = explainRollout({ ...running, waves, because }, [live], limits, now);
  assert.deepEqual(heldUpBy, ["eu-3"]);
  assert.match(text, /waits to hear again of eu-3, which had proved the bundle: agent "node-1" is silent/);
  assert.match(text, /One that does not by 2026-11-30 10:00 UTC has failed\./);
  assert.ok(next.includes("fleetctl agent revoke eu-3 node-1   when that node is gone for good"));
  // While the wave only soaks, or the hour holds it, that cluster holds nothing up.
  const soaking = { ...running, waves, because: '"eu 1 of 2" has proved and soaks for 600 s' };
  assert.deepEqual(explainRollout(soaking, [live], limits, now).heldUpBy, []);
});

test("a rollout that rolls back names the cluster that failed and is not back yet, and not those that are", () => {
  const waves = [
    {
      name: "canary eu",
      clusters: [
        cluster("eu-1", "failed", "it was rejected"),
        cluster("eu-2", "failed", "it was rejected"),
        { ...cluster("eu-3", "reverted"), provedAt: now - minute },
        cluster("eu-4", "reverted"),
      ],
    },
  ];
  const because = "waits for 2 clusters to prove what they ran before: eu-1, eu-4";
  const back: RolloutProgress = { ...running, state: "rolling-back", wave: 0, waves, because };
  const { text, heldUpBy } = explainRollout(back, [], limits, now);
  assert.deepEqual(heldUpBy, ["eu-1", "eu-4"]);
  assert.match(text, /eu-1 failed and is sent back to what it ran before: it was rejected/);
});

test("a rollout that awaits approval offers to look at its plan before a command that approves one", () => {
  const { next } = explainRollout({ ...running, state: "awaiting-approval" }, [], limits, now);
  assert.match(next[0] ?? "", /^fleetctl rollout show ro_7f3a/);
  assert.match(next[1] ?? "", /^fleetctl rollout approve ro_7f3a --plan DIGEST/);
  const changed = explainRollout({ ...running, state: "paused" }, [], { ...limits, isPending: true }, now);
  assert.match(changed.text, /It has not begun: resume takes the plan as it is now/);
  assert.match(changed.next[0] ?? "", /^fleetctl rollout show ro_7f3a/);
});

test("whatever the state, there is a paragraph without control characters and a command to type", () => {
  const states = [
    "running",
    "paused",
    "rolling-back",
    "rolled-back",
    "succeeded",
    "aborted",
    "awaiting-approval",
    "scheduled",
    "unknown",
  ] as const;
  for (const state of states) {
    for (const wave of [0, 1, 3]) {
      const evil = { ...running, state, wave, because: "\u001b[2J\nno" };
      const { text, next } = explainRollout(evil, [silent], limits, now);
      // oxlint-disable-next-line no-control-regex -- what must not be there
      assert.doesNotMatch(text, /[\u0000-\u001f]/);
      assert.ok(text.length > 60 && next.length > 0, state);
      const isOver = ["rolled-back", "succeeded", "aborted"].includes(state);
      assert.equal(/has ended/.test(text), isOver, state);
    }
  }
});

test("a wave that waits until a silent cluster is heard of names it, and no deadline that it does not have", () => {
  const reason = "silent; gets it when it is heard of again";
  const waiting: RolloutProgress = {
    ...running,
    waves: running.waves.map((wave) => ({
      ...wave,
      clusters: wave.clusters.map((each) =>
        each.name === "eu-3" ? { name: "eu-3", step: "waiting", reason } : each,
      ),
    })),
  };
  const { text, heldUpBy } = explainRollout(waiting, [silent], { ...limits, awaitsSilent: true }, now);
  assert.deepEqual(heldUpBy, ["eu-3"]);
  assert.match(
    text,
    /It waits for eu-3, which does not have the bundle yet: silent; .* last heard of 12m ago/,
  );
  assert.match(text, /goes on when each of them is heard of and proves the bundle/);
  assert.doesNotMatch(text, /counts as failed/);
  assert.deepEqual(explainRollout(waiting, [silent], limits, now).heldUpBy, []);
});

test("a rollout whose shadow is over says that nothing was rolled out, and offers its report first", () => {
  const over: RolloutProgress = {
    ...running,
    state: "paused",
    because: "the shadow is over",
    wave: 0,
    waves: running.waves.map((wave) => ({
      ...wave,
      clusters: wave.clusters.map(({ name }) => ({ name, step: "waiting", reason: "" })),
    })),
  };
  const { text, next } = explainRollout(over, [], { ...limits, isShadowOver: true }, now);
  assert.match(text, /No cluster has the bundle yet.* resume begins with the first wave/);
  assert.doesNotMatch(text, /failed clusters/);
  assert.equal(next[0], "fleetctl rollout shadow show ro_7f3a");
});
