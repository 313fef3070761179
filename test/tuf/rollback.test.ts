import assert from "node:assert/strict";
import { test } from "node:test";

import { tufWorld } from "./world.ts";

// Each test begins with the name that the scenario has in test_rollback.py of the public suite.

test("test_new_timestamp_version_rollback: an older timestamp is refused", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.publish("timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("timestamp"), 2);
  repository.restart("timestamp");
  repository.publish("timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(client.version("timestamp"), 2);
  assert.equal(repository.requests.at(-1), "timestamp");
});

test("test_simple_snapshot_rollback: an older snapshot at its address is not even asked for", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.publish("snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  repository.restart("snapshot");
  repository.publish("snapshot");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("snapshot"), 2);
  assert.equal(repository.requests.at(-1), "timestamp");
});

for (const pinsBytes of [false, true]) {
  const variant = pinsBytes ? "with hashes" : "basic";

  test(`test_snapshot_rollback[${variant}]: a newer timestamp over an older snapshot is refused and not kept`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    repository.pinsBytes = pinsBytes;
    repository.publish("snapshot", "timestamp");
    assert.equal(await client.refresh(), 0);
    repository.restart("snapshot");
    repository.publish("snapshot", "timestamp");
    assert.equal(await client.refresh(), 1);
    assert.equal(client.version("timestamp"), 2);
    assert.equal(client.version("snapshot"), 2);
    assert.equal(repository.requests.at(-1), "timestamp");
  });

  test(`test_targets_rollback[${variant}]: a newer snapshot over older targets is refused and not kept`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    repository.pinsBytes = pinsBytes;
    repository.publish("targets", "snapshot", "timestamp");
    assert.equal(await client.refresh(), 0);
    repository.restart("targets");
    repository.publish("targets", "snapshot", "timestamp");
    assert.equal(await client.refresh(), 1);
    assert.equal(client.version("snapshot"), 2);
    assert.equal(client.version("targets"), 2);
  });
}

test("test_new_snapshot_version_mismatch: a snapshot that no timestamp names is not taken", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.publish("snapshot");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("snapshot"), 1);
  assert.ok(!repository.requests.includes("snapshot 2"));
});

test("test_new_timestamp_fast_forward_recovery: a new timestamp key clears the floor of the stolen one", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  for (let i = 0; i < 99; i += 1) repository.publish("timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("timestamp"), 100);
  repository.rotateKeys("timestamp");
  repository.restart("timestamp");
  repository.publish("root", "timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("timestamp"), 1);
});

test("test_new_snapshot_fast_forward_recovery: new online keys clear the floor of the snapshot", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  for (let i = 0; i < 99; i += 1) repository.publish("snapshot");
  repository.publish("timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("snapshot"), 100);
  repository.rotateKeys("snapshot");
  repository.rotateKeys("timestamp");
  repository.restart("snapshot");
  repository.publish("root", "targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("snapshot"), 1);
});

test("test_new_targets_fast_forward_recovery: a new snapshot key clears the floor of targets", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  for (let i = 0; i < 99; i += 1) repository.publish("targets");
  repository.publish("snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("targets"), 100);
  repository.rotateKeys("snapshot");
  repository.restart("targets");
  repository.publish("root", "targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("targets"), 1);
});

test("test_new_targets_fast_forward_recovery, the other way: a new targets key alone does not, since the snapshot keeps the floor", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  for (let i = 0; i < 9; i += 1) repository.publish("targets");
  repository.publish("snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  repository.rotateKeys("targets");
  repository.restart("targets");
  repository.publish("root", "targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(client.version("targets"), 0, "what the old key signed is void");
  repository.targets.version = 10;
  repository.publish("targets", "snapshot", "timestamp");
  for (let i = 0; i < 9; i += 1) repository.published.get("targets")!.unshift(Buffer.from("{}"));
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("targets"), 11);
});
