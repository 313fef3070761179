import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { generateKey, newRoot, readRoot, type RootView } from "#trust";

import { openState } from "./state.ts";
import type { OnlineSigners } from "./store/sign-metadata.ts";
import { must } from "./testing.ts";

const now = new Date("2030-01-01T00:00:00Z");

function stateDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "falconry-keyring-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function rootNaming(set: OnlineSigners, mixed: Partial<OnlineSigners> = {}): RootView {
  const { snapshot, timestamp, assignment } = { ...set, ...mixed };
  const offline = [generateKey().publicKey];
  const keys = {
    root: offline,
    targets: offline,
    snapshot: [snapshot.publicKey],
    timestamp: [timestamp.publicKey],
    assignment: [assignment.publicKey],
  };
  const spec = { org: "default", version: 1, keys, thresholds: { root: 1, targets: 1 }, now };
  return must(readRoot(must(newRoot(spec))));
}

const idOf = (set: OnlineSigners | undefined) => set?.timestamp.publicKey.keyId;

test("keys that were prepared sign once a root names all of them, on every server of the directory, and after a restart", async (t) => {
  const dir = stateDir(t);
  const [here, there] = [await openState(dir, "default", now), await openState(dir, "default", now)];
  const first = here.keyring.signersFor(undefined);
  assert.equal(here.keyring.waiting(rootNaming(first)), undefined);
  const next = here.keyring.prepare(rootNaming(first));
  assert.notEqual(idOf(next), idOf(first));
  assert.equal(idOf(here.keyring.prepare(rootNaming(first))), idOf(next), "asked again, the same keys");
  const again = await openState(dir, "default", now);
  for (const { keyring } of [here, there, again]) {
    assert.equal(idOf(keyring.waiting(rootNaming(first))), idOf(next));
    assert.equal(idOf(keyring.signersFor(rootNaming(first))), idOf(first));
    assert.equal(idOf(keyring.signersFor(rootNaming(next))), idOf(next));
    assert.equal(idOf(keyring.signersFor(rootNaming(next, { assignment: first.assignment }))), idOf(first));
    assert.equal(keyring.waiting(rootNaming(next)), undefined);
  }
  const third = there.keyring.prepare(rootNaming(next));
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.startsWith("keys")),
    ["keys", "keys-2", "keys-3"],
  );
  assert.equal(statSync(join(dir, "keys-3")).mode & 0o777, 0o700);
  assert.equal(statSync(join(dir, "keys-3", "timestamp.json")).mode & 0o777, 0o600);
  assert.equal(idOf(here.keyring.waiting(rootNaming(next))), idOf(third));
});

test("keys that no root names any more may be removed", async (t) => {
  const dir = stateDir(t);
  const { keyring } = await openState(dir, "default", now);
  const next = keyring.prepare(rootNaming(keyring.signersFor(undefined)));
  rmSync(join(dir, "keys"), { recursive: true });
  const after = await openState(dir, "default", now);
  assert.equal(idOf(after.keyring.signersFor(rootNaming(next))), idOf(next));
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.startsWith("keys")),
    ["keys-2"],
  );
});

test("a set that is damaged ends the start with the path of the key", async (t) => {
  const dir = stateDir(t);
  const { keyring } = await openState(dir, "default", now);
  keyring.prepare(rootNaming(keyring.signersFor(undefined)));
  writeFileSync(join(dir, "keys-2", "snapshot.json"), "{}");
  await assert.rejects(openState(dir, "default", now), /keys-2\/snapshot\.json cannot be used/);
});
