import assert from "node:assert/strict";
import { test } from "node:test";

import { newSigner } from "./signers.ts";
import { tufWorld } from "./world.ts";

// Each test begins with the name that the scenario has in test_keys.py of the public suite.

test("test_snapshot_does_not_meet_threshold: two of three signatures are not three", async (t) => {
  const { client, repository } = await tufWorld(t);
  const first = repository.published.get("root")![0]!;
  repository.roleOf("snapshot").threshold = 3;
  repository.addKey("snapshot");
  repository.addKey("snapshot");
  repository.publish("root", "targets", "snapshot", "timestamp");
  await client.init(first);
  assert.equal(await client.refresh(), 0);
  const [lost] = repository.signers.get("snapshot")!.keys();
  repository.signers.get("snapshot")!.delete(lost!);
  repository.publish("targets", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(client.version("snapshot"), 2);
});

test("test_snapshot_has_too_few_keys: a threshold above the number of keys is never met", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  for (let i = 0; i < 4; i += 1) repository.addKey("snapshot");
  repository.roleOf("snapshot").threshold = 6;
  repository.publish("root", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(client.version("root"), 2);
  assert.equal(client.version("snapshot"), 0);
});

test("test_duplicate_keys: one key named nine times, with nine signatures, is one key", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  const signer = repository.addKey("snapshot");
  for (let i = 0; i < 8; i += 1) repository.roleOf("snapshot").keyids.push(signer.keyid);
  repository.roleOf("snapshot").threshold = 6;
  repository.publish("root", "snapshot", "timestamp");
  repository.alter("snapshot", ({ signatures }) => {
    const again = signatures.find(({ keyid }) => keyid === signer.keyid)!;
    for (let i = 0; i < 8; i += 1) signatures.push(again);
  });
  assert.equal(await client.refresh(), 1);
  assert.equal(client.version("snapshot"), 0);
});

test("test_duplicate_keys, under other ids: one key with six ids signs once", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  const signer = newSigner();
  for (let i = 0; i < 5; i += 1) repository.addKey("snapshot", { ...signer, keyid: `${i}`.repeat(64) });
  repository.roleOf("snapshot").threshold = 3;
  repository.publish("root", "snapshot", "timestamp");
  assert.equal(await client.refresh(), 1);
  assert.equal(client.version("snapshot"), 0);
});

test("test_duplicate_sig_keyids: two signatures by one key are refused, even where one is enough", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.alter("snapshot", ({ signatures }) => signatures.push(signatures[0]!));
  assert.equal(await client.refresh(), 1);
  assert.equal(client.version("snapshot"), 0);
});

for (const kind of ["ecdsa", "ed25519"] as const) {
  test(`test_keytype_and_scheme[${kind}]: such a key counts, and a signature that looks like its own does not`, async (t) => {
    const { client, repository } = await tufWorld(t);
    await client.init();
    const signer = repository.addKey("root", newSigner(kind));
    repository.roleOf("root").threshold = 2;
    repository.publish("root");
    assert.equal(await client.refresh(), 0);
    assert.equal(client.version("root"), 2);
    repository.publish("root");
    repository.alter("root", ({ signatures }) => {
      signatures.find(({ keyid }) => keyid === signer.keyid)!.sig = newSigner(kind).sign(Buffer.from("else"));
    });
    assert.equal(await client.refresh(), 1);
    assert.equal(client.version("root"), 2);
  });
}

test("test_keytype_and_scheme[rsa]: a key of a kind that we do not read counts for nothing, and keeps nothing else out", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  repository.addKey("root", newSigner("rsa"));
  repository.publish("root");
  assert.equal(await client.refresh(), 0);
  repository.roleOf("root").threshold = 2;
  repository.publish("root");
  assert.equal(await client.refresh(), 1, "the second signature is RSA");
  assert.equal(client.version("root"), 2);
});

test("test_invalid_sig_in_valid_metadata: a wrong or empty signature beside a right one does no harm", async (t) => {
  const { client, repository } = await tufWorld(t);
  await client.init();
  const [before] = repository.signers.get("timestamp")!.keys();
  repository.addKey("timestamp");
  for (const sig of [newSigner().sign(Buffer.from("else")), ""]) {
    repository.publish("root", "timestamp");
    repository.alter("timestamp", ({ signatures }) => {
      signatures.find(({ keyid }) => keyid === before)!.sig = sig;
    });
    assert.equal(await client.refresh(), 0);
  }
  assert.equal(client.version("timestamp"), 3);
});
