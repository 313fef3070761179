import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  checkTarget,
  decodeTrusted,
  emptyTrusted,
  encodeTrusted,
  newSnapshot,
  newTimestamp,
  signMetadata,
  trustedLives,
  trustedVersions,
  updateTrusted,
  type MetadataUpdate,
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
import { encodeMetadata, parseMetadata } from "./metadata.ts";
import { isObject } from "./json.ts";

const now = new Date("2030-01-01T00:00:00Z");
const hour = 3_600_000;
const day = 24 * hour;
const later = (ms: number) => new Date(now.getTime() + ms);

const keys = newKeys();
const root = await makeRoot(keys, now);
const bundle = makeBundle();
const second = makeBundle("1.1.0");
const release1 = await makeRelease(keys, now, [bundle]);
const release2 = await makeRelease(keys, now, [second], { targets: release1.targets, version: 2 });
const trusted1 = joined(root, release1, now);
const trusted2 = valueOf(updateTrusted(trusted1, release2, now));
const strangers = newKeys();

test("an agent that follows the fleet starts what is released, and survives a restart with all its floors", () => {
  assert.deepEqual(trustedVersions(trusted2), { root: 1, targets: 2, snapshot: 2, timestamp: 2 });
  const restarted = valueOf(decodeTrusted(encodeTrusted(trusted2)));
  assert.deepEqual(restarted, trusted2);
  assert.equal(
    checkTarget(restarted, bundle.target, now).ok,
    true,
    "an older bundle that is still listed may run",
  );
  assert.equal(checkTarget(restarted, second.target, now).ok, true);
  assert.equal(codeOf(updateTrusted(restarted, release1, now)), "trust/rollback");
  assert.equal(codeOf(updateTrusted(restarted, release2, now)), "accepted", "the same again is no attack");
});

test("a release may arrive piece by piece, and nothing starts in between", () => {
  const first = updateTrusted(trusted1, { timestamp: release2.timestamp }, now);
  assert.equal(codeOf(first), "trust/incomplete");
  assert.equal(codeOf(checkTarget(first.value, bundle.target, now)), "trust/incomplete");
  const next = updateTrusted(first.value, { snapshot: release2.snapshot }, now);
  assert.equal(codeOf(checkTarget(next.value, second.target, now)), "trust/incomplete");
  const last = updateTrusted(next.value, { targets: release2.targets }, now);
  assert.equal(codeOf(last), "accepted");
  assert.deepEqual(last.value, trusted2);
});

/** What an attacker may send to an agent that has release 2; each with the code it must meet. */
const online3 = await makeOnline(keys, now, release2.targets, 3);
const oldTargets = await makeOnline(keys, now, release1.targets, 3);
const forgedTargets = await makeRelease({ ...keys, targets: strangers.targets }, now, [makeBundle("6.6.6")], {
  targets: release2.targets,
  version: 3,
});
const otherSnapshot = valueOf(
  await signMetadata(valueOf(newSnapshot(release2.targets, { version: 3, now: later(1000) })), keys.snapshot),
);
const byStranger = await makeOnline({ ...keys, timestamp: strangers.timestamp }, now, release2.targets, 3);
const swapped = await makeOnline({ ...keys, timestamp: keys.snapshot }, now, release2.targets, 3);
const snapshotByStranger = await makeOnline(
  { ...keys, snapshot: strangers.snapshot },
  now,
  release2.targets,
  3,
);
const expiredTimestamp = valueOf(
  await signMetadata(
    valueOf(newTimestamp(online3.snapshot, { version: 3, now, lifetimeMs: -1000 })),
    keys.timestamp,
  ),
);
const expiredSnapshot = valueOf(
  await signMetadata(
    valueOf(newSnapshot(release2.targets, { version: 4, now, lifetimeMs: -1000 })),
    keys.snapshot,
  ),
);
const timestampOver = async (snapshot: Uint8Array, version: number) =>
  valueOf(await signMetadata(valueOf(newTimestamp(snapshot, { version, now })), keys.timestamp));
const longer = Buffer.concat([online3.snapshot, Buffer.from(" ")]);
const flipped = Buffer.from(online3.snapshot);
flipped[flipped.length - 20]! ^= 1;

// What the fleet publishes next: whatever the attacker sent must not keep it out.
const targets3 = (
  await makeRelease(keys, now, [makeBundle("1.2.0")], { targets: release2.targets, version: 3 })
).targets;
const honest5 = { ...(await makeOnline(keys, now, targets3, 5)), targets: targets3 };
const attacks: readonly [string, MetadataUpdate, string][] = [
  ["the timestamp goes back", { timestamp: release1.timestamp }, "trust/rollback"],
  [
    "a newer timestamp pins an older snapshot",
    { timestamp: await timestampOver(release1.snapshot, 3) },
    "trust/rollback",
  ],
  ["a newer snapshot pins older targets", { ...oldTargets, targets: release1.targets }, "trust/rollback"],
  ["targets by a key that root does not name", forgedTargets, "trust/unknown-key"],
  ["a timestamp by a key that root does not name", byStranger, "trust/unknown-key"],
  ["a timestamp by the snapshot key", swapped, "trust/unknown-key"],
  ["a snapshot by a key that root does not name", snapshotByStranger, "trust/unknown-key"],
  ["an expired timestamp", { timestamp: expiredTimestamp, snapshot: online3.snapshot }, "trust/expired"],
  [
    "an expired snapshot",
    { timestamp: await timestampOver(expiredSnapshot, 3), snapshot: expiredSnapshot },
    "trust/expired",
  ],
  ["a snapshot from another release", { ...online3, snapshot: otherSnapshot }, "trust/hash-mismatch"],
  ["a snapshot with one byte more", { ...online3, snapshot: longer }, "trust/length-mismatch"],
  ["a snapshot with one bit changed", { ...online3, snapshot: flipped }, "trust/hash-mismatch"],
  ["a timestamp without its snapshot", { timestamp: online3.timestamp }, "trust/incomplete"],
  ["metadata of another role", { timestamp: release2.snapshot }, "trust/malformed"],
  ["two megabytes", { timestamp: Buffer.alloc(2 * 1024 * 1024, " ") }, "trust/too-large"],
  ["deep nesting", { timestamp: Buffer.from("[".repeat(100_000)) }, "trust/malformed"],
  ["no JSON", { timestamp: Buffer.from([0xff, 0xfe, 0x7b]) }, "trust/malformed"],
  ["nothing", { timestamp: Buffer.alloc(0) }, "trust/malformed"],
];
for (const [name, update, code] of attacks) {
  test(`updateTrusted() refuses with ${code}: ${name}`, () => {
    const result = updateTrusted(trusted2, update, now);
    assert.equal(codeOf(result), code);
    assert.ok(!result.ok && result.refusal.message.length > 20);
    assert.equal(result.value.targets, trusted2.targets, "what was refused is not kept");
    assert.equal(
      codeOf(updateTrusted(result.value, honest5, now)),
      "accepted",
      "and does not keep out what is right",
    );
  });
}

test("no single changed byte of a timestamp or a root is accepted", async () => {
  const fresh = await makeOnline(keys, now, release2.targets, 3);
  const nextRoot = await makeRoot(keys, now, { version: 2 });
  const tampered = (bytes: Uint8Array) =>
    fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
      const copy = Buffer.from(bytes);
      copy[at]! ^= by;
      return copy;
    });
  fc.assert(
    fc.property(
      tampered(fresh.timestamp),
      (timestamp) => !updateTrusted(trusted2, { ...fresh, timestamp }, now).ok,
    ),
    { numRuns: 400 },
  );
  fc.assert(
    fc.property(tampered(nextRoot), (bytes) => !updateTrusted(trusted2, { roots: [bytes] }, now).ok),
    { numRuns: 400 },
  );
  assert.equal(codeOf(updateTrusted(trusted2, fresh, now)), "accepted", "untouched it is");
});

test("expired metadata starts nothing new and says when it expired; fresh metadata mends it", async () => {
  const tomorrow = later(25 * hour);
  assert.equal(codeOf(checkTarget(trusted2, bundle.target, tomorrow)), "trust/expired");
  assert.equal(codeOf(updateTrusted(trusted2, {}, tomorrow)), "trust/expired");
  assert.deepEqual(trustedLives(trusted2).timestamp?.ends, later(24 * hour));
  const fresh = await makeOnline(keys, tomorrow, release2.targets, 3);
  const mended = valueOf(updateTrusted(trusted2, fresh, tomorrow));
  assert.equal(checkTarget(mended, bundle.target, tomorrow).ok, true);
  assert.equal(codeOf(checkTarget(mended, bundle.target, later(400 * day))), "trust/expired");
});

test("checkTarget() demands path, kind, length and hash as released", () => {
  const { target } = bundle;
  assert.equal(
    codeOf(checkTarget(trusted2, { ...target, path: "rules/evil/1.0.0.json" }, now)),
    "trust/not-listed",
  );
  assert.equal(codeOf(checkTarget(trusted2, { ...target, kind: "shipper" }, now)), "trust/not-listed");
  assert.equal(codeOf(checkTarget(trusted2, { ...target, length: 1 }, now)), "trust/length-mismatch");
  assert.equal(
    codeOf(checkTarget(trusted2, { ...target, sha256: "0".repeat(64) }, now)),
    "trust/hash-mismatch",
  );
  assert.equal(codeOf(checkTarget(valueOf(emptyTrusted(root)), target, now)), "trust/incomplete");
});

test("one key counts once towards a threshold, under whatever ids it is named", async () => {
  const two = newKeys({ targets: 2 });
  const [one, other] = two.targets;
  const demanding = await makeRoot(two, now, { thresholds: { root: 1, targets: 2 } });
  const attempt = async (signers: typeof two.targets) => {
    const release = await makeRelease({ ...two, targets: signers }, now, [bundle]);
    return codeOf(updateTrusted(valueOf(emptyTrusted(demanding)), release, now));
  };
  assert.equal(await attempt([one!, other!]), "accepted");
  assert.equal(await attempt([one!]), "trust/threshold-not-met");
  assert.equal(await attempt([one!, one!]), "trust/threshold-not-met");
  assert.equal(await attempt([one!, strangers.targets[0]!]), "trust/threshold-not-met");

  // The same key under a second id, as a careless or bribed author of a root might write it.
  const document = valueOf(parseMetadata("root", demanding));
  const { keys: held, roles } = document.signed;
  assert.ok(isObject(held) && isObject(roles));
  const alias = "a".repeat(64);
  const signed = {
    ...document.signed,
    keys: { ...held, [alias]: held[one!.publicKey.keyId]! },
    roles: { ...roles, targets: { keyids: [one!.publicKey.keyId, alias], threshold: 2 } },
  };
  const aliased = valueOf(await signMetadata(encodeMetadata(signed), two.root));
  const release = await makeRelease({ ...two, targets: [one!] }, now, [bundle]);
  const targets = valueOf(parseMetadata("targets", release.targets));
  const sig = targets.signatures.get(one!.publicKey.keyId)!;
  const twice = encodeMetadata(
    targets.signed,
    new Map([
      [one!.publicKey.keyId, sig],
      [alias, sig],
    ]),
  );
  const online = await makeOnline(two, now, twice, 1);
  const result = updateTrusted(valueOf(emptyTrusted(aliased)), { ...online, targets: twice }, now);
  assert.equal(codeOf(result), "trust/threshold-not-met");
});

test("whatever of all that was ever published or forged is sent in whatever order, nothing goes back and nothing forged runs", () => {
  const releases = [release1, release2, honest5, forgedTargets, { ...oldTargets, targets: release1.targets }];
  const others = [
    byStranger,
    swapped,
    snapshotByStranger,
    online3,
    { snapshot: otherSnapshot, timestamp: expiredTimestamp },
  ];
  const pick = (role: "timestamp" | "snapshot" | "targets") => {
    const known = [...releases, ...others].flatMap((part: MetadataUpdate) => part[role] ?? []);
    return fc.option(fc.constantFrom(...known), { nil: undefined });
  };
  const move = fc
    .record({ timestamp: pick("timestamp"), snapshot: pick("snapshot"), targets: pick("targets") })
    .map((update): MetadataUpdate => Object.fromEntries(Object.entries(update).filter(([, bytes]) => bytes)));
  const moves = fc.array(fc.oneof(move, fc.constantFrom<MetadataUpdate>(...releases)), { maxLength: 8 });
  const forged = makeBundle("6.6.6").target;
  fc.assert(
    fc.property(moves, (updates) => {
      let trusted = trusted1;
      for (const update of updates) {
        const before = trustedVersions(trusted);
        trusted = valueOf(decodeTrusted(encodeTrusted(updateTrusted(trusted, update, now).value)));
        const after = trustedVersions(trusted);
        assert.ok(after.timestamp >= before.timestamp && after.snapshot >= before.snapshot, "a floor fell");
        assert.ok(after.targets >= before.targets, "targets went back");
        assert.equal(checkTarget(trusted, forged, now).ok, false, "a forged bundle may run");
      }
    }),
    { numRuns: 150 },
  );
});
