import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import {
  createCa,
  decodeTrusted,
  generateKey,
  newTargets,
  parseMetadata,
  signAssignment,
  signBacktest,
  signCaBundle,
  signMetadata,
  signShadow,
  type Envelope,
  type RoleName,
} from "#trust";
import {
  grantOf,
  joined,
  makeBundle,
  makeLayer,
  makeLayerList,
  makeOnline,
  makeRelease,
  makeRoot,
  newKeys,
  valueOf,
} from "../trust/fixture.ts";
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

const wire = ({ payloadType, payload, signatures }: Envelope) => ({
  $typeName: "agent.v1.Envelope" as const,
  payloadType,
  payload: new Uint8Array(payload),
  signatures: signatures.map(({ keyId, signature }) => ({
    $typeName: "agent.v1.Signature" as const,
    keyId,
    signature: new Uint8Array(signature),
  })),
});

const document = (role: RoleName, bytes: Uint8Array) => ({
  $typeName: "agent.v1.Metadata" as const,
  role,
  version: 0n,
  body: new Uint8Array(bytes),
});

async function assignment(clusterId: string, generation: number) {
  const expires = new Date(now.getTime() + 3_600_000);
  const said = { org: "default", clusterId, generation, targets: [bundle.target], notBefore: now, expires };
  return wire(await signAssignment(said, keys.assignment[0]!));
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

test("an order to evaluate a candidate is taken for this cluster, until its time is over, and from nobody else", async (t) => {
  const store = openTrustStore(newState(t).path, holder);
  const expires = new Date("2100-01-01T00:00:00Z");
  const { target } = bundle;
  const said = { org: "default", clusterId: "c-1", rolloutId: "r-1", target, notBefore: now, expires };
  const order = async (change: object, key = keys.assignment[0]!) =>
    store.acceptShadow(wire(await signShadow({ ...said, ...change }, key)), now);
  const taken = { rolloutId: "r-1", target, untilMs: expires.getTime() };
  assert.deepEqual(await order({}), { ok: true, value: taken });
  for (const [change, key] of [
    [{ clusterId: "c-2" }, keys.assignment[0]],
    [{ expires: now }, keys.assignment[0]],
    [{}, keys.targets[0]],
  ] as const) {
    assert.equal((await order(change, key)).ok, false);
  }
});

test("an order to replay kept events is taken for this cluster, until its time is over, and from nobody else", async (t) => {
  const store = openTrustStore(newState(t).path, holder);
  const seconds = Math.floor(now.getTime() / 1000);
  const [since, until, expires] = [seconds - 7_200, seconds - 3_600, seconds + 3_600].map(
    (s) => new Date(s * 1000),
  );
  assert.ok(since !== undefined && until !== undefined && expires !== undefined);
  const { target } = bundle;
  const said = {
    org: "default",
    clusterId: "c-1",
    backtestId: "b-1",
    target,
    since,
    until,
    notBefore: since,
    expires,
  };
  const order = async (change: object, key = keys.assignment[0]!) =>
    store.acceptBacktest(wire(await signBacktest({ ...said, ...change }, key)), now);
  const times = { sinceMs: since.getTime(), untilMs: until.getTime(), deadlineMs: expires.getTime() };
  assert.deepEqual(await order({}), { ok: true, value: { backtestId: "b-1", target, ...times } });
  for (const [change, key] of [
    [{ clusterId: "c-2" }, keys.assignment[0]],
    [{ expires: now }, keys.assignment[0]],
    [{}, keys.targets[0]],
  ] as const) {
    assert.equal((await order(change, key)).ok, false);
  }
});

test("a bundle may start while the targets that are held list it, and a list of CAs is taken from the assigner", async (t) => {
  const store = openTrustStore(newState(t).path, holder);
  assert.equal(store.checkTarget(bundle.target).ok, true);
  assert.equal(store.checkTarget(makeBundle("6.6.6").target).ok, false);
  const cas = [(await createCa({ org: "default", now })).certificate];
  const said = { org: "default", version: 3, cas, expires: new Date("2100-01-01T00:00:00Z") };
  const check = async (floor: number, key = keys.assignment[0]!) =>
    store.checkCas(wire(await signCaBundle(said, key)), floor, now).ok;
  assert.deepEqual([await check(3), await check(4), await check(3, keys.timestamp[0])], [true, false, false]);
});

test("the keys that may assign are those of the root that is held, also after a new root", async (t) => {
  const store = openTrustStore(newState(t).path, holder);
  const idsOf = (signers: typeof keys.assignment) => signers.map(({ publicKey }) => publicKey.keyId);
  assert.deepEqual(store.assigners(), idsOf(keys.assignment));
  assert.equal(store.lives().root?.ends.getTime(), valueOf(parseMetadata("root", root)).expires.getTime());
  const { assignment } = newKeys();
  const next = await makeRoot({ ...keys, assignment }, now, { version: 2 });
  assert.ok(store.update([document("root", next)], now).ok);
  assert.deepEqual(store.assigners(), idsOf(assignment));
  assert.deepEqual([store.versions().root, store.held().root], [2, Buffer.from(next).toString()]);
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

test("the list of a team's layer is taken and kept on disk; where its releases may start is judged by labels", async (t) => {
  const { path, held } = newState(t);
  const team = generateKey();
  const layer = makeLayer();
  const change = { add: [], delegate: [grantOf("payments", [team])], now };
  const targets = valueOf(await signMetadata(valueOf(newTargets(release.targets, change)), keys.targets));
  const list = await makeLayerList([team], now, [layer]);
  const online = await makeOnline(keys, now, targets, 2, new Map([["payments", list]]));
  const store = openTrustStore(path, holder);
  const update = [
    document("timestamp", online.timestamp),
    document("snapshot", online.snapshot),
    document("targets", targets),
    { ...document("targets", list), role: "layer-payments" },
  ];
  valueOf(store.update(update, now));
  assert.deepEqual(Object.keys(held().layers ?? {}), ["payments"]);
  const again = openTrustStore(path, holder);
  assert.ok(again.checkLayer(layer.target, { team: "payments" }).ok);
  assert.ok(!again.checkLayer(layer.target, { team: "cards" }).ok);
  assert.equal(valueOf(again.standing("payments", { team: "payments" }))?.layer, "payments");
  assert.ok(!again.standing("payments", { team: "cards" }).ok);
});

test("an assignment with layers of teams is read with them, and one without has none", async (t) => {
  const { path } = newState(t);
  const store = openTrustStore(path, holder);
  const { path: at, length, sha256 } = makeLayer().target;
  const expires = new Date(now.getTime() + 3_600_000);
  const whole = {
    ...holder,
    generation: 3,
    targets: [],
    notBefore: new Date(now.getTime() - 60_000),
    expires,
  };
  const layers = [{ path: at, length, sha256 }];
  const [assigner] = keys.assignment;
  const taken = valueOf(store.accept(wire(await signAssignment({ ...whole, layers }, assigner!)), now));
  assert.deepEqual(taken, { generation: 3, targets: [], layers });
  const bare = valueOf(store.accept(wire(await signAssignment(whole, assigner!)), now));
  assert.deepEqual(bare, { generation: 3, targets: [] });
});

test(
  "an agent that keeps what it is sent for years does not run out of open files",
  { skip: !existsSync("/proc/self/fd") },
  (t) => {
    const { path } = newState(t);
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    for (let i = 0; i < 20; i++) writeTrusted(path, begin);
    assert.ok(open() < before + 20, `${open()} files open, ${before} before`);
  },
);
