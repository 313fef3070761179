import assert from "node:assert/strict";
import { test } from "node:test";

import { inDays, timeText } from "./repository.ts";
import { newSigner } from "./signers.ts";
import { tufWorld } from "./world.ts";

// Each test begins with the name that the scenario has in test_basic.py of the public suite.
const roles = ["root", "timestamp", "snapshot", "targets"];

test("test_basic_refresh_requests: a refresh asks for the next root, then for what each document names", async (t) => {
  const { client, repository } = await tufWorld(t);
  assert.equal(await client.init(), 0);
  assert.deepEqual(repository.requests, [], "init asks nobody");
  assert.equal(await client.refresh(), 0);
  assert.deepEqual(repository.requests, ["root 2", "timestamp", "snapshot 1", "targets 1"]);
});

test("test_basic_refresh_trusted_data: after a refresh the client holds what was published", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  assert.equal(await client.refresh(), 0);
  for (const role of roles) {
    assert.ok(client.content(role).equals(repository.published.get(role)!.at(-1)!), role);
  }
});

test("test_implicit_refresh: a download refreshes first, and fails for what is not listed", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  assert.equal(await client.download("nonexistent artifact"), 1);
  assert.deepEqual(repository.requests, ["root 2", "timestamp", "snapshot 1", "targets 1"]);
  assert.deepEqual(client.trusted(), ["root 1", "snapshot 1", "targets 1", "timestamp 1"]);
});

test("test_invalid_initial_root: with a root that is none, nothing is asked for", async (t) => {
  const { client, repository } = await tufWorld(t);
  repository.alter("root", ({ signed }) => Reflect.deleteProperty(signed, "version"));
  await client.init();
  assert.equal(await client.refresh(), 1);
  assert.deepEqual(repository.requests, []);
});

test("test_unsigned_initial_root: with a root that did not sign itself, nothing is asked for", async (t) => {
  const { client, repository } = await tufWorld(t);
  repository.alter("root", ({ signatures }) => (signatures[0]!.sig = newSigner().sign(Buffer.from("else"))));
  await client.init();
  assert.equal(await client.refresh(), 1);
  assert.deepEqual(repository.requests, []);
});

const unsigned: readonly [string, readonly string[]][] = [
  ["root", ["root 1"]],
  ["timestamp", ["root 2"]],
  ["snapshot", ["root 2", "timestamp 2"]],
  ["targets", ["root 2", "snapshot 2", "timestamp 2"]],
];
for (const [role, trusted] of unsigned) {
  test(`test_unsigned_metadata[${role}]: what precedes it is kept, the unsigned document is not`, async (t) => {
    const { client, repository } = await tufWorld(t);
    repository.signers.get(role)!.clear();
    const first = repository.published.get("root")![0]!;
    repository.publish("root", "targets", "snapshot", "timestamp");
    await client.init(first);
    assert.equal(await client.refresh(), 1);
    assert.deepEqual(client.trusted(), trusted);
  });
}

const mismatches = unsigned.filter(([role]) => role !== "timestamp");
for (const [role, trusted] of mismatches) {
  test(`test_url_and_metadata_version_mismatch[${role}]: a document of another version than was asked for is refused`, async (t) => {
    const { client, repository } = await tufWorld(t);
    const first = repository.published.get("root")![0]!;
    repository.publish("root", "targets", "snapshot", "timestamp");
    repository.published.get(role)!.pop();
    repository.publish(role); // Version 3, where version 2 is pinned and asked for.
    await client.init(first);
    assert.equal(await client.refresh(), 1);
    assert.deepEqual(client.trusted(), trusted);
  });
}

test("test_timestamp_content_changes: other content under the held version changes nothing", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.timestamp.meta["snapshot.json"]!.version = 100;
  repository.restart("timestamp");
  repository.publish("timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(repository.requests.at(-1), "timestamp");
  assert.match(client.content("timestamp").toString(), /"version": 1\n/);
  assert.doesNotMatch(client.content("timestamp").toString(), /"version": 100\b/);
});

test("test_basic_metadata_hash_support: hashes are held against what comes", async (t) => {
  const { client, repository } = await tufWorld(t);
  repository.pinsBytes = true;
  repository.publish("targets", "snapshot", "timestamp");
  await client.init();
  assert.equal(await client.refresh(), 0);
  repository.publish("targets");
  repository.snapshot.meta["targets.json"]!.hashes = { sha256: "46".repeat(32) };
  repository.publish("snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(client.version("snapshot"), 3);
  assert.equal(client.version("targets"), 2);
});

test("test_metadata_bytes_match: what is kept is byte for byte what was published", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  const odd = Buffer.concat([repository.published.get("timestamp")!.pop()!, Buffer.from(" ")]);
  repository.published.get("timestamp")!.push(odd);
  assert.equal(await client.refresh(), 0);
  assert.ok(client.content("timestamp").equals(odd));
});

test("test_custom_fields: fields that nobody knows are signed like the others", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.root["custom-field"] = "value";
  repository.addKey("root", newSigner("ed25519", { "extra-field": { a: 1, b: 2 } }));
  repository.roleOf("root")["another-field"] = "value";
  repository.publish("root");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("root"), 2);
});

test("test_deprecated_keyid_hash_algorithms: a field of old does not matter", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.dropKeys("snapshot");
  repository.addKey("snapshot", newSigner("ed25519", { keyid_hash_algorithms: "md5" }));
  repository.publish("root", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  assert.equal(client.version("root"), 2);
  assert.equal(client.version("snapshot"), 2);
});

test("test_snapshot_404: a snapshot that is not there keeps the old one, and the new timestamp", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.timestamp.meta["snapshot.json"]!.version += 1;
  repository.publish("timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(repository.requests.at(-1), "snapshot 2");
  assert.deepEqual(client.trusted(), ["root 1", "snapshot 1", "targets 1", "timestamp 2"]);
});

test("test_targets_404: targets that are not there keep the old ones, and the new snapshot", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.snapshot.meta["targets.json"]!.version += 1;
  repository.publish("snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(repository.requests.at(-1), "targets 2");
  assert.deepEqual(client.trusted(), ["root 1", "snapshot 2", "targets 1", "timestamp 2"]);
});

test("test_timestamp_404: without a timestamp the repository is not current", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  await client.refresh();
  repository.published.delete("timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(repository.requests.at(-1), "timestamp");
});

test("test_incorrect_metadata_type: a snapshot in the place of a timestamp is refused, whoever signed it", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  const [signer] = repository.signers.get("timestamp")!.values();
  repository.addKey("snapshot", signer);
  repository.snapshot.meta = { "snapshot.json": { version: 1 } };
  repository.publish("root", "snapshot");
  repository.published.get("timestamp")!.push(repository.published.get("snapshot")!.pop()!);
  assert.equal(await client.refresh(), 1);
  assert.deepEqual(client.trusted(), ["root 2"]);
});

test("test_faketime: the same repository is fresh today and is not on the day after its root's end", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.root.expires = timeText(inDays(7));
  repository.publish("root");
  assert.equal(await client.refresh(), 0);
  assert.equal(await client.refresh(inDays(8)), 1);
});
