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

test("renderLine() takes the server's word for whom it waits, once", () => {
  const because = '"eu 1 of 2" waits for eu-3 (agent "n1" is at "staged")';
  assert.equal(
    renderLine({ ...running, because }, now).text,
    'wave 2/4 eu 1 of 2: 2/3 proved, waiting for eu-3 (agent "n1" is at "staged"), 4s',
  );
});

test("renderLine() gives news a new key and the passing of time the old one", () => {
  const before = renderLine(running, now).key;
  assert.equal(renderLine(running, now + 60_000).key, before);
  assert.notEqual(renderLine({ ...running, because: "soaking" }, now).key, before);
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
  assert.deepEqual(renderPicture({ ...running, because: "soaking for 10s" }, now, 120), [
    "rollout ro_7f3a rules starter@1.2.0: running, 3/6 proved, 1m15s",
    "  done wave 1/4 canary eu [############] 1/1 proved",
    "  now  wave 2/4 eu 1 of 2 [########>>>>] 2/3 proved  waiting for eu-3 (applying, 4s)",
    "       wave 3/4 eu 2 of 2 [............] 0/1 proved",
    "       wave 4/4 canary us [............] 0/1 proved",
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
