import assert from "node:assert/strict";
import { test } from "node:test";

import { inDays, timeText } from "./repository.ts";
import { tufWorld } from "./world.ts";

// Each test begins with the name that the scenario has in test_expiration.py of the public suite.
const past = (days: number) => timeText(inDays(-days));

test("test_root_expired: an expired root is kept, and nothing after it is taken", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.publish("root");
  assert.equal(await client.refresh(), 0);
  repository.root.expires = past(1);
  repository.publish("root", "targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.deepEqual(client.trusted(), ["root 3", "snapshot 1", "targets 1", "timestamp 1"]);
});

test("test_timestamp_expired: an expired timestamp is not kept", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.timestamp.expires = past(5);
  repository.publish("timestamp");
  assert.equal(await client.refresh(), 1);
  assert.deepEqual(client.trusted(), ["root 1", "snapshot 1", "targets 1", "timestamp 1"]);
});

test("test_snapshot_expired: an expired snapshot is not kept", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.snapshot.expires = past(5);
  repository.publish("snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.deepEqual(client.trusted(), ["root 1", "snapshot 1", "targets 1", "timestamp 2"]);
});

test("test_targets_expired: expired targets are not kept, and not looked at while no snapshot names them", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.targets.expires = past(5);
  repository.publish("snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  assert.deepEqual(client.trusted(), ["root 1", "snapshot 2", "targets 1", "timestamp 2"]);
  repository.publish("targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.deepEqual(client.trusted(), ["root 1", "snapshot 3", "targets 1", "timestamp 3"]);
});

test("test_expired_local_root: an expired root that is held is followed by a fresh one", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.root.expires = timeText(inDays(7));
  repository.publish("root");
  assert.equal(await client.refresh(), 0);
  repository.root.expires = timeText(inDays(21));
  repository.publish("root");
  assert.equal(await client.refresh(inDays(18)), 0);
  assert.equal(client.version("root"), 3);
});

test("test_expired_local_timestamp: expired metadata that is held is followed by fresh", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.timestamp.expires = timeText(inDays(7));
  repository.publish("timestamp");
  assert.equal(await client.refresh(), 0);
  repository.timestamp.expires = timeText(inDays(21));
  repository.publish("targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(inDays(18)), 0);
  assert.deepEqual(client.trusted(), ["root 1", "snapshot 2", "targets 2", "timestamp 3"]);
});

test("test_expired_local_timestamp, as a floor: expired metadata that is held still refuses what is older", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.timestamp.expires = timeText(inDays(7));
  repository.publish("snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  repository.restart("timestamp");
  repository.timestamp.expires = timeText(inDays(28));
  repository.publish("timestamp");
  assert.equal(await client.refresh(inDays(18)), 1);
  assert.equal(client.version("timestamp"), 2);
});
