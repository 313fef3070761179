import assert from "node:assert/strict";
import { test } from "node:test";

import {
  checkTarget,
  emptyTrusted,
  newTargets,
  newTimestamp,
  signMetadata,
  updateTrusted,
  type MetadataUpdate,
  type SigningKey,
} from "#trust";

import {
  codeOf,
  joined,
  makeBundle,
  makeOnline,
  makeRelease,
  makeRoot,
  newKeys,
  valueOf,
} from "./fixture.ts";
import { encodeMetadata, parseMetadata, sha256Hex } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const hour = 3_600_000;
const later = (ms: number) => new Date(now.getTime() + ms);
const keys = newKeys();
const root = await makeRoot(keys, now);
const bundle = makeBundle();
const release = await makeRelease(keys, now, [bundle]);
const trusted = joined(root, release, now);
const otherTargets = valueOf(
  await signMetadata(valueOf(newTargets(undefined, { add: [makeBundle("2.0.0")], now })), keys.targets),
);

/** Metadata that its rightful key signed with a pin that does not fit: the careless or stolen online key. */
async function pinning(role: "timestamp" | "snapshot", meta: object, signers: readonly SigningKey[]) {
  const file = role === "timestamp" ? "snapshot.json" : "targets.json";
  const expires = "2030-01-02T00:00:00Z";
  const signed = {
    _type: role,
    spec_version: "1.0.31",
    version: 2,
    expires,
    meta: { [file]: meta as never },
  };
  return valueOf(await signMetadata(encodeMetadata(signed), signers));
}
const pinOf = (bytes: Uint8Array, version: number) => ({
  version,
  length: bytes.length,
  hashes: { sha256: sha256Hex(bytes) },
});
const timestampOver = async (snapshot: Uint8Array) =>
  valueOf(await signMetadata(valueOf(newTimestamp(snapshot, { version: 2, now })), keys.timestamp));
const snapshotWith = (meta: object) => pinning("snapshot", meta, keys.snapshot);
async function release2(meta: object, targets?: Uint8Array): Promise<MetadataUpdate> {
  const snapshot = await snapshotWith(meta);
  return {
    timestamp: await timestampOver(snapshot),
    snapshot,
    ...(targets === undefined ? {} : { targets }),
  };
}
const snapshot2 = await snapshotWith(pinOf(release.targets, 1));

const cases: readonly [string, MetadataUpdate, string][] = [
  [
    "a snapshot of another version than its pin says",
    { timestamp: await pinning("timestamp", pinOf(snapshot2, 9), keys.timestamp), snapshot: snapshot2 },
    "trust/version-mismatch",
  ],
  [
    "targets of another version than their pin says",
    await release2(pinOf(otherTargets, 9), otherTargets),
    "trust/version-mismatch",
  ],
  [
    "garbage in the place of targets, before it is parsed",
    await release2(pinOf(otherTargets, 1), Buffer.from("[")),
    "trust/length-mismatch",
  ],
  [
    "held targets when other bytes of their version are pinned",
    await release2(pinOf(otherTargets, 1)),
    "trust/incomplete",
  ],
  [
    "a pin by a hash that is not SHA-256",
    await release2({ version: 1, hashes: { md5: "00" } }, release.targets),
    "trust/hash-mismatch",
  ],
];
for (const [name, update, code] of cases) {
  test(`an agent refuses with ${code}: ${name}`, () => {
    assert.equal(codeOf(updateTrusted(trusted, update, now)), code);
  });
}

test("pins by version alone, or without a hash, are enough: TUF leaves the rest to whoever publishes", async () => {
  const pins = (bytes: Uint8Array, version: number) => [
    { version },
    { version, length: bytes.length },
    { version, hashes: { sha256: sha256Hex(bytes) } },
  ];
  for (const pin of pins(release.targets, 1)) {
    const snapshot = await snapshotWith(pin);
    for (const over of pins(snapshot, 2)) {
      const timestamp = await pinning("timestamp", over, keys.timestamp);
      const update = { timestamp, snapshot, targets: release.targets };
      assert.equal(codeOf(updateTrusted(valueOf(emptyTrusted(root)), update, now)), "accepted");
      assert.equal(codeOf(updateTrusted(trusted, { timestamp, snapshot }, now)), "accepted");
    }
  }
});

test("a refusal to go back names what goes back, to where, and who pins it", async () => {
  const timestamp = await timestampOver(release.snapshot);
  const newer = valueOf(updateTrusted(trusted, { timestamp }, now));
  const back = updateTrusted(newer, { timestamp: release.timestamp }, now);
  assert.equal(messageOf(back), "timestamp goes back to version 1; version 2 was seen before");
  const online = valueOf(updateTrusted(trusted, await makeOnline(keys, now, release.targets, 3), now));
  const pinned = await pinning("timestamp", pinOf(snapshot2, 2), keys.timestamp);
  const { signed } = valueOf(parseMetadata("timestamp", pinned));
  const fourth = valueOf(await signMetadata(encodeMetadata({ ...signed, version: 4 }), keys.timestamp));
  assert.equal(
    messageOf(updateTrusted(online, { timestamp: fourth }, now)),
    "snapshot, which timestamp 4 pins, goes back to version 2; version 3 was seen before",
  );
});

test("a snapshot that pins no targets starts nothing", async () => {
  const signed = {
    _type: "snapshot",
    spec_version: "1.0.31",
    version: 2,
    expires: "2030-01-02T00:00:00Z",
    meta: {},
  };
  const snapshot = valueOf(await signMetadata(encodeMetadata(signed), keys.snapshot));
  const begun = valueOf(emptyTrusted(root));
  const update = { timestamp: await timestampOver(snapshot), snapshot, targets: release.targets };
  assert.equal(codeOf(updateTrusted(begun, update, now)), "trust/incomplete");
});

test("an older timestamp is refused even when it pins the same snapshot", async () => {
  const timestamp = await timestampOver(release.snapshot);
  const newer = valueOf(updateTrusted(trusted, { timestamp }, now));
  assert.equal(codeOf(updateTrusted(newer, { timestamp: release.timestamp }, now)), "trust/rollback");
});

test("each role that has expired alone stops what is new, and an expired newcomer is not kept", async () => {
  const at = later(2 * hour);
  const short = { now, lifetimeMs: hour };
  const fresh = (targets: Uint8Array) => makeOnline(keys, at, targets, 3);

  const shortRoot = await makeRoot(keys, now, { lifetimeMs: hour });
  const withRoot = updateTrusted(
    valueOf(emptyTrusted(shortRoot)),
    { ...release, ...(await fresh(release.targets)) },
    now,
  );
  assert.match(messageOf(checkTarget(withRoot.value, bundle.target, at)), /^root 1 expired/);
  assert.match(messageOf(updateTrusted(withRoot.value, {}, at)), /^root 1 expired/);

  const shortTargets = valueOf(
    await signMetadata(valueOf(newTargets(undefined, { add: [bundle], ...short })), keys.targets),
  );
  const online = await fresh(shortTargets);
  const held = valueOf(updateTrusted(valueOf(emptyTrusted(root)), { ...online, targets: shortTargets }, now));
  assert.match(messageOf(checkTarget(held, bundle.target, at)), /^targets 1 expired/);
  assert.match(messageOf(updateTrusted(held, {}, at)), /^targets 1 expired/);
  const late = updateTrusted(valueOf(emptyTrusted(root)), { ...online, targets: shortTargets }, at);
  assert.match(messageOf(late), /^targets 1 expired/);
  assert.equal(late.value.targets, undefined);

  const old = valueOf(
    await signMetadata(valueOf(newTimestamp(release.snapshot, { version: 2, ...short })), keys.timestamp),
  );
  const stale = updateTrusted(trusted, { timestamp: old }, at);
  assert.match(messageOf(stale), /^timestamp 2 expired/);
  assert.equal(stale.value.timestamp, trusted.timestamp);
});

function messageOf(result: { ok: true } | { ok: false; refusal: { message: string } }): string {
  return result.ok ? "accepted" : result.refusal.message;
}

test("metadata that is signed but is not what it should be is refused by what is wrong", () => {
  const { signed, signatures } = valueOf(parseMetadata("targets", release.targets));
  const [entry] = [...signatures].map(([keyid, sig]) => ({ keyid, sig }));
  const read = (text: object) => {
    const result = parseMetadata("targets", Buffer.from(JSON.stringify(text)));
    assert.ok(!result.ok && result.refusal.code !== "trust/too-large");
    return result.refusal.message;
  };
  const one = [entry];
  assert.match(read({ signatures: one }), /no "signed" object/);
  assert.match(read({ signed, signatures: {} }), /no list of signatures/);
  assert.match(read({ signed, signatures: [{ keyid: 1, sig: "" }] }), /signature without keyid and sig/);
  assert.match(read({ signed, signatures: [entry, entry] }), /signed twice by key/);
  for (const version of [0, -1, 1.5, "1", 2 ** 60, null]) {
    assert.match(
      read({ signed: { ...signed, version }, signatures: one }),
      /version .*; expected a whole number/,
    );
  }
  for (const expires of ["2030-02-30T00:00:00Z", "2030-01-01", "soon", 1, "2030-01-01T00:00:00+01:00"]) {
    assert.match(
      read({ signed: { ...signed, expires }, signatures: one }),
      /expires .*; expected a form such as/,
    );
  }
  assert.match(
    read({ signed: { ...signed, spec_version: "2.0.0" }, signatures: one }),
    /does not follow the TUF/,
  );
  assert.match(read({ signed: { ...signed, extra: 1.5 }, signatures: one }), /does not follow the TUF/);
  const many = Array.from({ length: 65 }, (_, i) => ({ keyid: `${i}`, sig: "" }));
  assert.equal(
    codeOf(parseMetadata("targets", Buffer.from(JSON.stringify({ signed, signatures: many })))),
    "trust/too-large",
  );
});
