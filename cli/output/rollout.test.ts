import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  type ClusterProgress,
  type ClusterStep,
  isResting,
  renderBar,
  renderLine,
  renderPicture,
  type RolloutProgress,
} from "./rollout.ts";

const now = 1_000_000;
const cluster = (name: string, step: ClusterStep, reason = "", assignedAt = now - 4000): ClusterProgress => ({
  name,
  step,
  reason,
  assignedAt,
});
const running: RolloutProgress = {
  id: "ro_7f3a",
  kind: "rules",
  bundle: "starter@1.2.0",
  state: "running",
  because: "",
  wave: 1,
  createdAt: now - 75_000,
  waves: [
    { name: "canary eu", clusters: [cluster("eu-1", "proved")] },
    {
      name: "eu 1 of 2",
      clusters: [
        cluster("eu-2", "proved"),
        cluster("eu-3", "assigned", "applying"),
        cluster("eu-4", "proved"),
      ],
    },
    { name: "eu 2 of 2", clusters: [cluster("eu-5", "waiting")] },
    { name: "canary us", clusters: [cluster("us-1", "waiting")] },
  ],
};

test("renderLine() says which wave is in work, how much is proved, and for whom it waits how long", () => {
  assert.equal(
    renderLine(running, now).text,
    "wave 2/4 eu 1 of 2: 2/3 proved, waiting for eu-3 (applying, 4s)",
  );
});

const soaking: RolloutProgress = {
  ...running,
  because: "soaking for 10s",
  waves: running.waves.map((wave, index) =>
    index === 1 ? { ...wave, clusters: wave.clusters.map((c) => ({ ...c, step: "proved" as const })) } : wave,
  ),
};

test("renderLine() says once for whom it waits, whatever words the rollout has for it", () => {
  const because = '"eu 1 of 2" waits for eu-3 (applying)';
  assert.equal(
    renderLine({ ...running, because }, now).text,
    "wave 2/4 eu 1 of 2: 2/3 proved, waiting for eu-3 (applying, 4s)",
  );
  assert.equal(renderLine(soaking, now).text, "wave 2/4 eu 1 of 2: 3/3 proved; soaking for 10s");
});

test("renderLine() says of a rollout that rests why, also while clusters still have to prove", () => {
  const paused: RolloutProgress = { ...running, state: "paused", because: "paused by ann" };
  assert.match(renderLine(paused, now).text, /: paused, 3\/6 proved; paused by ann$/);
  assert.equal(renderPicture(paused, now, 120).at(-1), "  because: paused by ann");
});

test("renderLine() gives news a new key and the passing of time the old one", () => {
  const before = renderLine(running, now).key;
  assert.equal(renderLine(running, now + 60_000).key, before);
  const staged = cluster("eu-3", "assigned", "staged");
  const [first, wave, ...rest] = running.waves;
  assert.ok(first !== undefined && wave !== undefined);
  const clusters = wave.clusters.map((each) => (each.name === "eu-3" ? staged : each));
  assert.notEqual(
    renderLine({ ...running, waves: [first, { ...wave, clusters }, ...rest] }, now).key,
    before,
  );
  assert.notEqual(renderLine(soaking, now).key, before);
});

test("renderLine() names failed clusters with their reason, and the end with the rollout's own words", () => {
  const [first, , ...rest] = running.waves;
  assert.ok(first !== undefined);
  const failed = { name: "eu 1 of 2", clusters: [cluster("eu-2", "failed", "trust/hash-mismatch")] };
  const paused: RolloutProgress = { ...running, waves: [first, failed, ...rest] };
  assert.equal(
    renderLine(paused, now).text,
    "wave 2/4 eu 1 of 2: 0/1 proved, failed eu-2 (failed: trust/hash-mismatch)",
  );
  assert.equal(
    renderLine({ ...paused, state: "paused", because: "1 failed, 0 allowed" }, now).text,
    "rollout ro_7f3a rules starter@1.2.0: paused, 1/4 proved; 1 failed, 0 allowed",
  );
});

test("renderPicture() shows each wave with a bar whose meaning needs no colour", () => {
  const rest = [
    "       wave 3/4 eu 2 of 2 [............] 0/1 proved",
    "       wave 4/4 canary us [............] 0/1 proved",
  ];
  assert.deepEqual(renderPicture({ ...running, because: "it waits for eu-3" }, now, 120), [
    "rollout ro_7f3a rules starter@1.2.0: running, 3/6 proved, 1m15s",
    "  done wave 1/4 canary eu [############] 1/1 proved",
    "  now  wave 2/4 eu 1 of 2 [########>>>>] 2/3 proved  waiting for eu-3 (applying, 4s)",
    ...rest,
  ]);
  assert.deepEqual(renderPicture(soaking, now, 120), [
    "rollout ro_7f3a rules starter@1.2.0: running, 4/6 proved, 1m15s",
    "  done wave 1/4 canary eu [############] 1/1 proved",
    "  now  wave 2/4 eu 1 of 2 [############] 3/3 proved",
    ...rest,
    "  because: soaking for 10s",
  ]);
});

test("renderPicture() is never wider than the terminal and never lets a name steer it", () => {
  const evil = {
    ...running,
    waves: [{ name: "\u001b[2J".repeat(30), clusters: [cluster("\u0007".repeat(40), "assigned")] }],
  };
  for (const line of renderPicture({ ...evil, wave: 0 }, now, 60)) {
    assert.ok(Array.from(line).length <= 60, line);
    // oxlint-disable-next-line no-control-regex -- what must not be there
    assert.doesNotMatch(line, /[\u0000-\u001f]/);
  }
});

test("renderBar() fills only when all is proved, and shows a single failure among many", () => {
  const step = fc.constantFrom<ClusterStep>("waiting", "assigned", "proved", "failed", "reverted");
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 200 }), (steps) => {
      const bar = renderBar(steps.map((one, index) => cluster(`c${index}`, one)));
      assert.match(bar, /^\[[#!>.]{12}\]$/);
      assert.equal(
        bar === "[############]",
        steps.every((one) => one === "proved"),
      );
      assert.equal(
        bar.includes("!"),
        steps.some((one) => one === "failed" || one === "reverted"),
      );
    }),
  );
});

test("isResting() holds for every state in which a watcher would wait in vain", () => {
  assert.deepEqual(
    (["running", "rolling-back", "paused", "rolled-back", "succeeded", "aborted", "unknown"] as const).map(
      isResting,
    ),
    [false, false, true, true, true, true, true],
  );
});
