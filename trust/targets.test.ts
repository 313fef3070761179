import assert from "node:assert/strict";
import { test } from "node:test";

import { checkNextTargets, newTargets, readTargets, signMetadata } from "#trust";

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
  const cases: readonly [string, object][] = [
    ["../etc/passwd", entry],
    ["rules/a/1.0.1.json", entry],
    ["rules/A b/1.0.0.json", { ...entry, custom: { kind: "rules", name: "A b", version: "1.0.0" } }],
    ["rules/a/latest.json", { ...entry, custom: { kind: "rules", name: "a", version: "latest" } }],
    ["rules/a/1.0.0.json", { ...entry, length: 0 }],
    ["rules/a/1.0.0.json", { ...entry, length: 17 * 1024 * 1024 }],
    ["rules/a/1.0.0.json", { ...entry, hashes: { sha512: "00" } }],
    ["rules/a/1.0.0.json", { ...entry, custom: { ...entry.custom, kind: "exec" } }],
  ];
  assert.equal(
    codeOf(readTargets(encodeMetadata({ ...signed, targets: { "rules/a/1.0.0.json": entry } }))),
    "accepted",
  );
  for (const [path, odd] of cases) {
    const result = readTargets(encodeMetadata({ ...signed, targets: { [path]: odd as never } }));
    assert.ok(
      !result.ok && result.refusal.code === "trust/malformed" && result.refusal.message.includes(path),
      path,
    );
  }
});
