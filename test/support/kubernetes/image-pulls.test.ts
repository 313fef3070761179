import assert from "node:assert/strict";
import { test } from "node:test";
import { ImagePulls } from "./image-pulls.ts";

test("a kubelet asks for a missing image again and again, ever more rarely up to a bound, and starts the pod when it is there", () => {
  const pulls = new ImagePulls();
  const tries: number[] = [];
  let isMissing = true;
  const pull = (nowMs: number) => pulls.pull("falconry/a", "agent:2", () => isMissing, nowMs);
  for (let nowMs = 0; nowMs < 20_000; nowMs += 100) if (pull(nowMs) === "failed") tries.push(nowMs);
  assert.deepEqual(tries, [0, 800, 2_400, 5_600, 9_600, 13_600, 17_600]);
  isMissing = false;
  assert.deepEqual([pull(21_500), pull(21_600), pull(21_700)], ["waits", "pulled", "pulled"]);
  isMissing = true;
  assert.equal(
    pulls.pull("falconry/a", "agent:3", () => isMissing, 23_700),
    "failed",
    "another image waits for nothing",
  );
  pulls.forget("falconry/a");
  assert.equal(
    pulls.pull("falconry/a", "agent:3", () => isMissing, 23_800),
    "failed",
    "nor does a new pod",
  );
});
