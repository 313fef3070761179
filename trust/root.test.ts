import assert from "node:assert/strict";
import { test } from "node:test";

import {
  checkNextRoot,
  checkTarget,
  emptyTrusted,
  newRoot,
  readRoot,
  rootPin,
  rootSpecOf,
  signMetadata,
  trustedVersions,
  updateTrusted,
  type OnlineKeys,
} from "#trust";

import {
  codeOf,
  joined,
  makeBundle,
  makeOnline,
  makeRelease,
  makeRoot,
  newKeys,
  publicOf,
  valueOf,
  type Keys,
} from "./fixture.ts";

const now = new Date("2030-01-01T00:00:00Z");
const day = 86_400_000;
const later = (ms: number) => new Date(now.getTime() + ms);
const keys = newKeys({ root: 3 });
const thresholds = { root: 2, targets: 1 };
const [a, b, c] = keys.root;
const root1 = await makeRoot(keys, now, { thresholds, signers: [a!, b!] });
const bundle = makeBundle();
const release = await makeRelease(keys, now, [bundle]);
const trusted = joined(root1, release, now);
const onlineOf = (k: Keys): OnlineKeys => ({
  snapshot: k.snapshot[0]!.publicKey,
  timestamp: k.timestamp[0]!.publicKey,
  assignment: k.assignment[0]!.publicKey,
});

test("a root that the join string does not pin is refused with both hashes", async () => {
  const evil = await makeRoot(newKeys(), now);
  const refused = emptyTrusted(evil, rootPin(root1));
  assert.ok(!refused.ok);
  assert.equal(refused.refusal.code, "trust/wrong-pin");
  assert.ok(
    refused.refusal.message.includes(rootPin(evil)) && refused.refusal.message.includes(rootPin(root1)),
  );
});

test("a root that lacks its own signatures cannot be the first one", async () => {
  const signed = await makeRoot(keys, now, { thresholds, signers: [a!] });
  assert.equal(codeOf(emptyTrusted(signed)), "trust/threshold-not-met");
  assert.equal(codeOf(checkNextRoot(undefined, signed, onlineOf(keys), now)), "trust/threshold-not-met");
});

test("an agent that slept follows a chain of roots to keys that it has never seen", async () => {
  const k2: Keys = { ...newKeys(), root: [b!, c!, newKeys().root[0]!] };
  const root2 = await makeRoot(k2, now, { version: 2, thresholds, signers: [a!, b!, c!] });
  const k3 = newKeys({ root: 2 });
  const root3 = await makeRoot(k3, now, { version: 3, thresholds, signers: [...k2.root, ...k3.root] });
  const release3 = await makeRelease(k3, now, [makeBundle("3.0.0")]);
  const result = valueOf(updateTrusted(trusted, { roots: [root2, root3], ...release3 }, now));
  assert.deepEqual(trustedVersions(result), { root: 3, targets: 1, snapshot: 1, timestamp: 1 });
  assert.equal(codeOf(updateTrusted(trusted, { roots: [root3] }, now)), "trust/version-mismatch");
  const again = valueOf(updateTrusted(result, { roots: [root1, root2, root3], ...release3 }, now));
  assert.deepEqual(again, result, "a chain that is sent again changes nothing");
});

const other = newKeys({ root: 3 });
const refusals: readonly [string, Promise<Uint8Array>, string][] = [
  [
    "signed by too few of the old keys",
    makeRoot(keys, now, { version: 2, thresholds, signers: [a!] }),
    "trust/threshold-not-met",
  ],
  [
    "signed only by its own new keys",
    makeRoot({ ...keys, root: other.root }, now, { version: 2, thresholds }),
    "trust/unknown-key",
  ],
  [
    "not signed by its own new keys",
    makeRoot({ ...keys, root: other.root }, now, { version: 2, thresholds, signers: [a!, b!] }),
    "trust/unknown-key",
  ],
  ["that leaves out a version", makeRoot(keys, now, { version: 3, thresholds }), "trust/version-mismatch"],
  ["of the same version with other content", makeRoot(keys, later(day), { thresholds }), "trust/rollback"],
  [
    "of another organisation",
    makeRoot(keys, now, { version: 2, thresholds, org: "evil" }),
    "trust/wrong-org",
  ],
  ["that has expired", makeRoot(keys, now, { version: 2, thresholds, lifetimeMs: -1000 }), "trust/expired"],
];
for (const [name, made, code] of refusals) {
  test(`agents and servers refuse a root ${name}`, async () => {
    const next = await made;
    assert.equal(codeOf(updateTrusted(trusted, { roots: [next] }, now)), code);
    assert.equal(codeOf(checkNextRoot(root1, next, onlineOf(keys), now)), code);
  });
}

test("an expired root in the middle of a chain does not stop it", async () => {
  const root2 = await makeRoot(keys, now, { version: 2, thresholds, lifetimeMs: day });
  const root3 = await makeRoot(keys, later(2 * day), { version: 3, thresholds });
  const online = await makeOnline(keys, later(2 * day), release.targets, 2);
  const result = updateTrusted(trusted, { roots: [root2, root3], ...online }, later(2 * day));
  assert.equal(codeOf(result), "accepted");
});

test("a rotation counts even when what comes with it is spoilt", async () => {
  const root2 = await makeRoot({ ...keys, targets: other.targets }, now, { version: 2, thresholds });
  const result = updateTrusted(trusted, { roots: [root2], timestamp: Buffer.from("{}") }, now);
  assert.equal(result.ok, false);
  assert.equal(trustedVersions(result.value).root, 2);
  assert.equal(
    codeOf(checkTarget(result.value, bundle.target, now)),
    "trust/incomplete",
    "the old key's release is void",
  );
});

test("new online keys let a fleet recover from a stolen key that raised the versions", async () => {
  const raised = valueOf(
    updateTrusted(trusted, await makeOnline(keys, now, release.targets, Number.MAX_SAFE_INTEGER), now),
  );
  const normal = await makeOnline(keys, now, release.targets, 2);
  assert.equal(codeOf(updateTrusted(raised, normal, now)), "trust/rollback");
  const rotated: Keys = { ...keys, snapshot: other.snapshot, timestamp: other.timestamp };
  const root2 = await makeRoot(rotated, now, { version: 2, thresholds });
  const online = await makeOnline(rotated, now, release.targets, 2);
  const recovered = valueOf(updateTrusted(raised, { roots: [root2], ...online }, now));
  assert.equal(trustedVersions(recovered).snapshot, 2);
});

test("a stolen assignment key's generation is forgotten with the key, and only then", async () => {
  const high = { ...trusted, generationFloor: 1_000_000 };
  const same = await makeRoot(keys, now, { version: 2, thresholds });
  assert.equal(updateTrusted(high, { roots: [same] }, now).value.generationFloor, 1_000_000);
  const rotated = await makeRoot({ ...keys, assignment: other.assignment }, now, { version: 2, thresholds });
  assert.equal(updateTrusted(high, { roots: [rotated] }, now).value.generationFloor, 0);
});

test("a server does not publish a root that would lock it or its agents out", async () => {
  const foreign = await makeRoot(other, now);
  assert.equal(codeOf(checkNextRoot(undefined, foreign, onlineOf(keys), now)), "trust/wrong-online-key");
  const root2 = await makeRoot(keys, now, { version: 2, thresholds });
  for (const [current, next] of [
    [undefined, root1],
    [root1, root1],
    [root1, root2],
  ] as const) {
    const view = valueOf(checkNextRoot(current, next, onlineOf(keys), now));
    assert.deepEqual(view, valueOf(readRoot(next)), "what is published is what was checked");
  }
  const never = newRoot({
    org: "default",
    version: 1,
    keys: publicOf(keys),
    thresholds: { root: 4, targets: 1 },
    now,
  });
  assert.equal(codeOf(never), "trust/threshold-not-met");
  assert.equal(codeOf(checkNextRoot(undefined, release.targets, onlineOf(keys), now)), "trust/malformed");
});

test("a second person's signature is added to the first one's, and completes the threshold", async () => {
  const spec = { ...rootSpecOf(valueOf(readRoot(root1)), now), thresholds };
  const unsigned = valueOf(newRoot(spec));
  const first = valueOf(await signMetadata(unsigned, [a!]));
  assert.equal(codeOf(checkNextRoot(root1, first, onlineOf(keys), now)), "trust/threshold-not-met");
  const both = valueOf(await signMetadata(first, [c!]));
  assert.equal(codeOf(checkNextRoot(root1, both, onlineOf(keys), now)), "accepted");
  const again = valueOf(await signMetadata(both, [c!]));
  assert.equal(Buffer.from(again).equals(both), true, "signing again changes nothing");
});
