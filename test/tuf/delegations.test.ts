import assert from "node:assert/strict";
import { test } from "node:test";

import { inDays, timeText, type Repository } from "./repository.ts";
import { newSigner } from "./signers.ts";
import { tufWorld } from "./world.ts";

// test_updater_delegation_graphs.py and test_quoting_issues.py of the public suite are about delegations, which this
// verifier does not follow. What is shown here is that it then finds nothing, asks for nothing and takes nothing.

function delegate(repository: Repository, name: string, paths: readonly string[]): void {
  const signer = newSigner();
  const delegations = (repository.targets.delegations ??= { keys: {}, roles: [] });
  delegations.keys[signer.keyid] = signer.key;
  delegations.roles.push({ name, keyids: [signer.keyid], threshold: 1, terminating: false, paths });
  repository.signWith(name, signer);
  const expires = timeText(inDays(30));
  repository.delegated.set(name, {
    _type: "targets",
    spec_version: "1.0.31",
    version: 1,
    expires,
    targets: {},
  });
}

test("test_graph_traversal, unlike in the public suite: what only a delegated role lists is not found, and the role is not asked for", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  delegate(repository, "A", ["*"]);
  repository.addArtifact("target_file.txt", "contents");
  const listed = repository.targets.targets["target_file.txt"]!;
  delete repository.targets.targets["target_file.txt"];
  repository.delegated.get("A")!.targets["target_file.txt"] = listed;
  repository.publish("A", "targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 0, "targets that delegate are targets");
  assert.equal(await client.download("target_file.txt"), 1);
  assert.deepEqual(client.artifacts(), []);
  assert.ok(!repository.requests.some((request) => request.startsWith("A")));
});

for (const name of ["?", "#", "/delegatedrole", "../delegatedrole"]) {
  test(`test_unusual_role_name[${name}]: such a name becomes no request and no file`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    delegate(repository, name, ["*"]);
    repository.publish(name, "targets", "snapshot", "timestamp");
    assert.equal(await client.download("nonexistent target"), 1);
    assert.deepEqual(repository.requests, ["root 2", "timestamp", "snapshot 2", "targets 2"]);
    assert.deepEqual(client.trusted(), ["root 1", "snapshot 2", "targets 2", "timestamp 2"]);
  });
}

test("a delegated role that a snapshot once named cannot leave it or go back: the floor holds for every file", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  delegate(repository, "A", ["*"]);
  repository.publish("A", "A", "targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 0);
  for (const change of [
    () => (repository.snapshot.meta["A.json"]!.version = 1),
    () => delete repository.snapshot.meta["A.json"],
  ]) {
    change();
    repository.publish("snapshot", "timestamp");
    assert.equal(await client.refresh(), 1);
    assert.equal(client.version("snapshot"), 2);
  }
});
