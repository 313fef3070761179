import assert from "node:assert/strict";
import { test } from "node:test";

import { newSigner } from "./signers.ts";
import { tufWorld } from "./world.ts";

// The names are those of the cases in test_updater_key_rotations.py of the public suite. A row is one version: the keys
// that root names for the role, how many must sign, who signs; the last one is accepted or refused.
type Version = readonly [keys: readonly number[], threshold: number, signers: readonly number[]];
const five = [0, 1, 2, 3, 4];
const otherFive = [0, 1, 3, 4, 5];

const rootCases: readonly [string, "accepted" | "refused", ...Version[]][] = [
  ["1-of-1-key-rotation", "accepted", [[1], 1, [1]], [[2], 1, [2, 1]], [[2], 1, [2]]],
  [
    "1-of-1-key-rotation-unused-signatures",
    "accepted",
    [[1], 1, [3, 1, 4]],
    [[2], 1, [3, 2, 1, 4]],
    [[2], 1, [3, 2, 4]],
  ],
  [
    "3-of-5-sign-with-different-keycombos",
    "accepted",
    [five, 3, [0, 2, 4]],
    [five, 3, [0, 4, 1]],
    [five, 3, [0, 1, 3]],
    [five, 3, [0, 1, 3]],
  ],
  ["3-of-5-one-key-rotated", "accepted", [five, 3, [0, 2, 4]], [otherFive, 3, [0, 4, 1]]],
  [
    "3-of-5-one-key-rotated-with-intermediate-step",
    "accepted",
    [five, 3, [0, 2, 4]],
    [otherFive, 3, [0, 2, 4, 5]],
    [otherFive, 3, [0, 4, 5]],
  ],
  [
    "3-of-5-all-keys-rotated-with-intermediate-step",
    "accepted",
    [five, 3, [0, 2, 4]],
    [[5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]],
    [[5, 6, 7, 8, 9], 3, [5, 6, 7]],
  ],
  ["1-of-3-threshold-increase-to-2-of-3", "accepted", [[1, 2, 3], 1, [1]], [[1, 2, 3], 2, [1, 2]]],
  [
    "2-of-3-threshold-decrease-to-1-of-3",
    "accepted",
    [[1, 2, 3], 2, [1, 2]],
    [[1, 2, 3], 1, [1, 2]],
    [[1, 2, 3], 1, [1]],
  ],
  ["1-of-2-threshold-increase-to-2-of-2", "accepted", [[1], 1, [1]], [[1, 2], 2, [1, 2]]],
  ["1-of-1-key-rotation-fail-not-signed-with-old-key", "refused", [[1], 1, [1]], [[2], 1, [2, 3, 4]]],
  ["1-of-1-key-rotation-fail-not-signed-with-new-key", "refused", [[1], 1, [1]], [[2], 1, [1, 3, 4]]],
  [
    "3-of-5-one-key-rotate-fails-not-signed-with-3-new-keys",
    "refused",
    [five, 3, [0, 2, 4]],
    [otherFive, 3, [0, 2, 4]],
  ],
  [
    "3-of-5-one-key-rotate-fails-not-signed-with-3-old-keys",
    "refused",
    [five, 3, [0, 2, 4]],
    [otherFive, 3, [0, 4, 5]],
  ],
  [
    "1-of-3-threshold-bump-to-2-of-3-fails-new-threshold-not-reached",
    "refused",
    [[1, 2, 3], 1, [1]],
    [[1, 2, 3], 2, [2]],
  ],
  [
    "2-of-3-threshold-decr-to-1-of-3-fails-old-threshold-not-eached",
    "refused",
    [[1, 2, 3], 2, [1, 2]],
    [[1, 2, 3], 1, [1]],
  ],
];

const signers = Array.from({ length: 10 }, () => newSigner());

for (const [name, outcome, ...versions] of rootCases) {
  test(`test_root_rotation[${name}]: the last root is ${outcome}`, async (t) => {
    const { client, repository } = await tufWorld(t);
    repository.restart("root");
    for (const [keys, threshold, by] of versions) {
      repository.dropKeys("root");
      repository.roleOf("root").threshold = threshold;
      for (const key of keys) repository.addKey("root", signers[key]);
      repository.signers.get("root")!.clear();
      for (const signer of by) repository.signWith("root", signers[signer]!);
      repository.publish("root");
    }
    await client.init();
    assert.equal(await client.refresh(), outcome === "accepted" ? 0 : 1);
    assert.equal(client.version("root"), outcome === "accepted" ? versions.length : versions.length - 1);
  });
}

const otherCases: readonly [string, "accepted" | "refused", Version][] = [
  ["1-of-1-key-rotation", "accepted", [[2], 1, [2]]],
  ["1-of-1-key-rotation-unused-signatures", "accepted", [[1], 1, [3, 1, 4]]],
  ["1-of-1-key-rotation-fail-not-signed-with-new-key", "refused", [[2], 1, [1, 3, 4]]],
  ["3-of-5-one-key-signature-wrong-not-signed-with-3-expected-keys", "refused", [otherFive, 3, [0, 2, 4]]],
  ["2-of-5-one-key-signature-mising-threshold-not-reached", "refused", [otherFive, 3, [0, 4]]],
  ["3-of-5-sign-first-combo", "accepted", [five, 3, [0, 2, 4]]],
  ["3-of-5-sign-second-combo", "accepted", [five, 3, [0, 4, 1]]],
  ["3-of-5-sign-third-combo", "accepted", [five, 3, [0, 1, 3]]],
  ["3-of-5-sign-fourth-combo", "accepted", [five, 3, [1, 2, 3]]],
  ["3-of-5-sign-fifth-combo", "accepted", [five, 3, [2, 3, 4]]],
];

for (const [name, outcome, [keys, threshold, by]] of otherCases) {
  test(`test_non_root_rotations[${name}]: timestamp, snapshot and targets are ${outcome}`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    for (const role of ["timestamp", "snapshot", "targets"]) {
      repository.dropKeys(role);
      repository.roleOf(role).threshold = threshold;
      for (const key of keys) repository.addKey(role, signers[key]);
      repository.signers.get(role)!.clear();
      for (const signer of by) repository.signWith(role, signers[signer]!);
      repository.publish("root", "targets", "snapshot", "timestamp");
      assert.equal(await client.refresh(), outcome === "accepted" ? 0 : 1, role);
      if (outcome === "accepted") {
        assert.ok(client.content(role).equals(repository.published.get(role)!.at(-1)!));
      }
    }
  });
}
