import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { decodeTrusted, signAssignment, type RoleName } from "#trust";
import { joined, makeBundle, makeOnline, makeRelease, makeRoot, newKeys, valueOf } from "../trust/fixture.ts";
import { AgentError } from "./agent-error.ts";
import { openTrustStore, writeTrusted } from "./trust-store.ts";

const now = new Date();
const keys = newKeys();
const root = await makeRoot(keys, now);
const bundle = makeBundle();
const release = await makeRelease(keys, now, [bundle]);
const begin = joined(root, release, now);
const holder = { org: "default", clusterId: "c-1" };

interface Undo {
  after(undo: () => void): void;
}

function newState(t: Undo) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-store-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "trusted.json");
  writeTrusted(path, begin);
  return { dir, path, held: () => valueOf(decodeTrusted(readFileSync(path, "utf8"))) };
}

const document = (role: RoleName, bytes: Uint8Array) => ({
  $typeName: "agent.v1.Metadata" as const,
  role,
  version: 0n,
  body: new Uint8Array(bytes),
});

async function assignment(clusterId: string, generation: number) {
  const expires = new Date(now.getTime() + 3_600_000);
  const said = { org: "default", clusterId, generation, targets: [bundle.target], notBefore: now, expires };
  const { payloadType, payload, signatures } = await signAssignment(said, keys.assignment[0]!);
  const signed = signatures.map((entry) => ({
    $typeName: "agent.v1.Signature" as const,
    keyId: entry.keyId,
    signature: new Uint8Array(entry.signature),
  }));
  const body = new Uint8Array(payload);
  return { $typeName: "agent.v1.Envelope" as const, payloadType, payload: body, signatures: signed };
}

test("what an agent takes in is on disk before it goes on, and what is known already is not written again", async (t) => {
  const { path, held } = newState(t);
  const store = openTrustStore(path, holder);
  const file = statSync(path).ino;
  const again = [document("root", root), document("timestamp", release.timestamp)];
  assert.ok(store.update(again, now).ok);
  assert.equal(statSync(path).ino, file, "nothing was written");
  const online = await makeOnline(keys, now, release.targets, 2);
  const next = [document("timestamp", online.timestamp), document("snapshot", online.snapshot)];
  assert.ok(store.update(next, now).ok);
  assert.notEqual(statSync(path).ino, file);
  assert.equal(held().timestamp, Buffer.from(online.timestamp).toString());
  assert.deepEqual(store.versions(), { root: 1, targets: 1, snapshot: 2, timestamp: 2 });
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("the highest generation is on disk when an assignment is taken; one that is refused leaves it alone", async (t) => {
  const { path, held } = newState(t);
  const store = openTrustStore(path, holder);
  const taken = store.accept(await assignment("c-1", 5), now);
  assert.deepEqual(taken, { ok: true, value: { generation: 5, targets: [bundle.target] } });
  assert.equal(held().generationFloor, 5);
  assert.ok(!store.accept(await assignment("c-2", 9), now).ok);
  assert.ok(!store.accept(await assignment("c-1", 4), now).ok);
  assert.equal(held().generationFloor, 5);
  assert.ok(!openTrustStore(path, holder).accept(await assignment("c-1", 4), now).ok, "after a restart, too");
});

test("writes that were cut off are swept away, and nothing else", (t) => {
  const { dir, path } = newState(t);
  const kept = ["trusted.json.bak", "trusted.json.12x", "other.json.123"];
  for (const name of [...kept, "trusted.json.4294967295"]) writeFileSync(join(dir, name), "{");
  openTrustStore(path, holder);
  assert.deepEqual(readdirSync(dir).toSorted(), [...kept, "trusted.json"].toSorted());
});

test("a state that is missing or damaged stops the agent with the way out; a fault of the disk stays what it is", (t) => {
  const { dir, path } = newState(t);
  const isDamaged = (error: unknown) =>
    error instanceof AgentError && error.code === "state/damaged" && /enrol again/.test(error.message);
  assert.throws(() => openTrustStore(join(dir, "none.json"), holder), isDamaged);
  writeFileSync(path, readFileSync(path).subarray(0, 1000));
  assert.throws(() => openTrustStore(path, holder), isDamaged);
  mkdirSync(join(dir, "folder.json"));
  assert.throws(() => openTrustStore(join(dir, "folder.json"), holder), { code: "EISDIR" });
});
