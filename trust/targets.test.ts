import assert from "node:assert/strict";
import { test } from "node:test";

import { bundleBytesMax, checkNextTargets, newTargets, readTargets, signMetadata } from "#trust";

import { quote } from "./checked.ts";
import { codeOf, makeBundle, makeRelease, makeRoot, newKeys, valueOf } from "./fixture.ts";
import { encodeMetadata, parseMetadata } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys();
const root = await makeRoot(keys, now);
const bundle = makeBundle();
const { targets } = await makeRelease(keys, now, [bundle]);
const signed = async (unsigned: Uint8Array) => valueOf(await signMetadata(unsigned, keys.targets));

test("a released bundle stays listed when another is added, and goes when it is removed", async () => {
  const two = await signed(valueOf(newTargets(targets, { add: [makeBundle("1.1.0")], now })));
  const view = valueOf(checkNextTargets(root, targets, two, now));
  assert.deepEqual([...view.listed.keys()], ["rules/starter/1.0.0.json", "rules/starter/1.1.0.json"]);
  const one = await signed(valueOf(newTargets(two, { add: [], remove: [bundle.target.path], now })));
  assert.deepEqual(
    [...valueOf(checkNextTargets(root, two, one, now)).listed.keys()],
    ["rules/starter/1.1.0.json"],
  );
});

test("a version that was released can never mean other bytes", async () => {
  const other = makeBundle("1.0.0", "- rule: y\n");
  assert.equal(codeOf(newTargets(targets, { add: [other], now })), "trust/changed-target");
  const fresh = valueOf(newTargets(undefined, { add: [other], now }));
  const document = valueOf(parseMetadata("targets", fresh));
  const next = await signed(encodeMetadata({ ...document.signed, version: 2 }));
  assert.equal(codeOf(checkNextTargets(root, targets, next, now)), "trust/changed-target");
});

test("a server publishes the first targets of a fleet when they are signed, and only then", async () => {
  const first = valueOf(newTargets(undefined, { add: [bundle], now }));
  assert.equal(codeOf(checkNextTargets(root, undefined, first, now)), "trust/threshold-not-met");
  assert.equal(codeOf(checkNextTargets(root, undefined, await signed(first), now)), "accepted");
});

test("a server refuses targets that its agents would refuse, or that were made from old ones", async () => {
  const next = valueOf(newTargets(targets, { add: [], now }));
  const check = (bytes: Uint8Array, at = now) => codeOf(checkNextTargets(root, targets, bytes, at));
  assert.equal(check(await signed(next)), "accepted");
  assert.equal(check(targets), "accepted", "pushing the same again");
  assert.equal(check(next), "trust/threshold-not-met");
  assert.equal(check(valueOf(await signMetadata(next, newKeys().targets))), "trust/unknown-key");
  assert.equal(check(await signed(valueOf(newTargets(undefined, { add: [], now })))), "trust/rollback");
  assert.equal(check(await signed(next), new Date("2030-04-02T00:00:00Z")), "trust/expired");
  const skipped = valueOf(newTargets(await signed(next), { add: [], now }));
  assert.equal(check(await signed(skipped)), "trust/version-mismatch");
});

test("targets whose entry is not what its path says are refused by path", () => {
  const { signed } = valueOf(parseMetadata("targets", targets));
  const entry = {
    length: 10,
    hashes: { sha256: "0".repeat(64) },
    custom: { kind: "rules", name: "a", version: "1.0.0" },
  };
  const path = "rules/a/1.0.0.json";
  const custom = (change: object) => ({ ...entry, custom: { ...entry.custom, ...change } });
  const cases: readonly [string, object][] = [
    ["../etc/passwd", entry],
    ["rules/a/1.0.1.json", entry],
    ["rules/A b/1.0.0.json", { ...entry, custom: { kind: "rules", name: "A b", version: "1.0.0" } }],
    ["rules/a/latest.json", { ...entry, custom: { kind: "rules", name: "a", version: "latest" } }],
    [path, { ...entry, length: 0 }],
    [path, { ...entry, length: bundleBytesMax + 1 }],
    [path, { ...entry, hashes: { sha512: "00" } }],
    [path, { ...entry, hashes: { sha256: "0".repeat(63) } }],
    [path, { ...entry, hashes: { sha256: "A".repeat(64) } }],
    [path, { length: 10, hashes: entry.hashes }],
    [path, { ...entry, custom: null }],
    [path, { ...entry, custom: [entry.custom] }],
    [path, custom({ kind: undefined })],
    [path, custom({ kind: "exec" })],
    ["exec/a/1.0.0.json", custom({ kind: "exec" })],
    ["undefined/a/1.0.0.json", custom({ kind: undefined })],
    [path, custom({ name: undefined })],
    [path, custom({ name: "b" })],
    [path, custom({ name: ["a"] })],
    ["rules/undefined/1.0.0.json", custom({ name: undefined })],
    [path, custom({ version: undefined })],
    [path, custom({ version: ["1.0.0"] })],
    [path, custom({ version: "1.0.1" })],
  ];
  const read = (odd: object, at = path) =>
    readTargets(encodeMetadata({ ...signed, targets: { [at]: odd as never } }));
  const listed = { kind: "rules", path, name: "a", version: "1.0.0", sha256: "0".repeat(64) };
  for (const length of [1, 10, bundleBytesMax]) {
    assert.deepEqual(valueOf(read({ ...entry, length })).listed.get(path), { ...listed, length });
  }
  for (const [at, odd] of cases) {
    const result = read(odd, at);
    assert.ok(
      !result.ok && result.refusal.code === "trust/malformed" && result.refusal.message.includes(quote(at)),
      `${at} ${JSON.stringify(odd)}`,
    );
  }
});

test("what the format of TUF itself forbids is refused before entries are looked at", () => {
  const { signed } = valueOf(parseMetadata("targets", targets));
  const read = (change: object) =>
    codeOf(readTargets(Buffer.from(JSON.stringify({ signatures: [], signed: { ...signed, ...change } }))));
  for (const odd of [null, "all", { "a.json": null }, { "a.json": { length: -1, hashes: {} } }]) {
    assert.equal(read({ targets: odd }), "trust/malformed", JSON.stringify(odd));
  }
});

test("targets metadata that lists nothing releases nothing, whether its list is empty or absent", () => {
  const { signed } = valueOf(parseMetadata("targets", targets));
  for (const list of [{}, undefined]) {
    const view = valueOf(readTargets(encodeMetadata({ ...signed, targets: list as never })));
    assert.equal(view.listed.size, 0);
  }
});
