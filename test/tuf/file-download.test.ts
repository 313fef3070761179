import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { buildBundle } from "#trust";
import type { Repository } from "./repository.ts";
import { tufWorld } from "./world.ts";

// Each test begins with the name that the scenario has in test_file_download.py of the public suite.
const publishAll = (repository: Repository) => repository.publish("targets", "snapshot", "timestamp");

/** A file of any kind, as the public suite has it, and a bundle of ours: the client downloads both. */
const kinds = {
  "a file": { path: "target_file.txt", content: (text: string) => text },
  "a bundle": { path: "rules/starter/1.0.0.json", content: (text: string) => bundleOf(text) },
};
const custom = { kind: "rules", name: "starter", version: "1.0.0" };

function bundleOf(content: string): string {
  const { name, version } = custom;
  const files = [{ path: "k8s.yaml", content }];
  const built = buildBundle({ org: "default", kind: "rules", name, version, files, layers: [] });
  assert.ok(built.ok);
  return Buffer.from(built.value.bytes).toString();
}

for (const [what, { path, content }] of Object.entries(kinds)) {
  const add = (repository: Repository, text: string) =>
    repository.addArtifact(path, content(text), what === "a bundle" ? custom : undefined);

  test(`test_client_downloads_expected_file: ${what} arrives as it was released`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    add(repository, "target file contents");
    publishAll(repository);
    assert.equal(await client.refresh(), 0);
    assert.deepEqual(client.artifacts(), []);
    assert.equal(await client.download(path), 0);
    assert.deepEqual(client.artifacts(), [content("target file contents")]);
  });

  test(`test_repository_substitutes_target_file: other bytes in the place of ${what} are refused`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    add(repository, "target file contents");
    publishAll(repository);
    assert.equal(await client.download(path), 0);
    repository.artifacts.set(path, Buffer.from(content("malicious contents !")));
    await client.download(path);
    assert.deepEqual(client.artifacts(), [content("target file contents")]);
    add(repository, "new file contents");
    repository.artifacts.set(path, Buffer.from(content("bad file contents")));
    publishAll(repository);
    assert.equal(await client.download(path), 1);
    assert.deepEqual(client.artifacts(), [content("target file contents")]);
  });

  test(`test_multiple_changes_to_target: ${what} follows each release, and no other change`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    for (let i = 0; i < 11; i += 1) {
      add(repository, `modified contents ${i}`);
      publishAll(repository);
      if (i % 5 !== 0) continue;
      assert.equal(await client.download(path), 0);
      assert.deepEqual(client.artifacts(), [content(`modified contents ${i}`)]);
      repository.artifacts.set(path, Buffer.from(content(`malicious content ${i}`)));
      publishAll(repository);
      await client.download(path);
      assert.deepEqual(client.artifacts(), [content(`modified contents ${i}`)]);
    }
  });

  test(`test_artifact_cache: ${what} that is held is not downloaded again`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    add(repository, "target file contents");
    publishAll(repository);
    assert.equal(await client.download(path), 0);
    assert.equal(await client.download(path), 0);
    assert.equal(repository.artifactRequests.length, 1);
  });
}

test("test_client_downloads_expected_file_in_sub_dir: folders in a path are folders in the address", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.addArtifact("path/to/a/target_file.txt", "target file contents");
  publishAll(repository);
  assert.equal(await client.download("path/to/a/target_file.txt"), 0);
  assert.deepEqual(client.artifacts(), ["target file contents"]);
});

const content = "target file contents";
const hash = (algorithm: string) => createHash(algorithm).update(content).digest("hex");
const hashes: readonly [string, Record<string, string>, number][] = [
  ["test_download_with_hash_algorithms[sha256]: SHA-256 is enough", { sha256: hash("sha256") }, 0],
  [
    "test_download_with_hash_algorithms[sha256, sha512]: another hash beside it does no harm",
    { sha256: hash("sha256"), sha512: hash("sha512") },
    0,
  ],
  [
    "test_download_with_hash_algorithms[sha512]: without SHA-256 nothing is accepted, unlike in the public suite",
    { sha512: hash("sha512") },
    1,
  ],
  [
    "test_download_with_unknown_hash_algorithm: a hash that nobody knows proves nothing",
    { "unknown-hash": hash("sha512") },
    1,
  ],
];
for (const [name, listed, code] of hashes) {
  test(name, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    repository.addArtifact("target_file.txt", content);
    repository.targets.targets["target_file.txt"]!.hashes = listed;
    publishAll(repository);
    assert.equal(await client.download("target_file.txt"), code);
    assert.deepEqual(client.artifacts(), code === 0 ? [content] : []);
  });
}
