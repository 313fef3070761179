import assert from "node:assert/strict";
import { test } from "node:test";

import {
  checkNextRoot,
  checkNextTargets,
  checkTarget,
  decodeTrusted,
  encodeTrusted,
  newRoot,
  newTargets,
  readRoot,
  signMetadata,
  trustedVersions,
  updateTrusted,
  verifyAssignment,
} from "#trust";

import { codeOf, joined, makeBundle, makeRelease, makeRoot, newKeys, publicOf, valueOf } from "./fixture.ts";
import { isObject, type Json } from "./json.ts";
import { encodeMetadata, parseMetadata } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys({ root: 2 });
const root = await makeRoot(keys, now);
const bundle = makeBundle();
const release = await makeRelease(keys, now, [bundle]);
const trusted = joined(root, release, now);
const onlineKeys = {
  snapshot: keys.snapshot[0]!.publicKey,
  timestamp: keys.timestamp[0]!.publicKey,
  assignment: keys.assignment[0]!.publicKey,
};

test("a trust state that was altered on disk is refused, not half believed", async () => {
  const state = JSON.parse(encodeTrusted(trusted)) as Record<string, Json>;
  const decode = (change: object) => codeOf(decodeTrusted(JSON.stringify({ ...state, ...change })));
  assert.equal(decode({}), "accepted");
  const cases: readonly [object, string][] = [
    [{ format: 2 }, "trust/malformed"],
    [{ root: 1 }, "trust/malformed"],
    [{ root: "{}" }, "trust/malformed"],
    [{ root: Buffer.from(root).toString().replace("2031", "2041") }, "trust/threshold-not-met"],
    [{ timestamp: 1 }, "trust/malformed"],
    [{ timestamp: "{}" }, "trust/malformed"],
    [{ snapshot: state["timestamp"] }, "trust/malformed"],
    [{ targets: "" }, "trust/malformed"],
    [{ generationFloor: -1 }, "trust/malformed"],
    [{ generationFloor: "7" }, "trust/malformed"],
    [{ generationFloor: undefined }, "trust/malformed"],
    [{ extra: 1 }, "trust/malformed"],
  ];
  for (const [change, code] of cases) assert.equal(decode(change), code, JSON.stringify(change).slice(0, 80));
  assert.equal(codeOf(decodeTrusted("not json")), "trust/malformed");
  assert.equal(codeOf(decodeTrusted("[]")), "trust/malformed");
});

test("targets of a stranger in the state file are forgotten, and nothing of them runs", async () => {
  const evil = await makeRelease({ ...keys, targets: newKeys().targets }, now, [makeBundle("6.6.6")]);
  const state = {
    ...JSON.parse(encodeTrusted(trusted)),
    targets: Buffer.from(evil.targets).toString(),
  } as object;
  const decoded = valueOf(decodeTrusted(JSON.stringify(state)));
  assert.equal(trustedVersions(decoded).targets, 0);
  assert.equal(codeOf(checkTarget(decoded, makeBundle("6.6.6").target, now)), "trust/incomplete");
});

test("a damaged state in memory refuses everything and throws nothing", () => {
  const envelope = { payloadType: "x", payload: Buffer.alloc(0), signatures: [] };
  const damages = [{ root: "{" }, { timestamp: "{" }, { snapshot: "{" }, { targets: "{" }];
  for (const damaged of damages.map((change) => ({ ...trusted, ...change }))) {
    assert.equal(codeOf(checkTarget(damaged, bundle.target, now)), "trust/malformed");
    assert.equal(codeOf(updateTrusted(damaged, {}, now)), "trust/malformed");
    assert.equal(
      codeOf(verifyAssignment(damaged, envelope, { org: "default", clusterId: "c", now })),
      "trust/malformed",
    );
    assert.deepEqual(trustedVersions(damaged), { root: 0, targets: 0, snapshot: 0, timestamp: 0 });
  }
});

const { signed } = valueOf(parseMetadata("root", root));
const { keys: held, roles } = signed;
assert.ok(isObject(held) && isObject(roles));
const [first] = keys.root;
const odd = (change: object) =>
  signMetadata(encodeMetadata({ ...signed, ...change }), keys.root).then(valueOf);
const role = (name: string, keyids: Json, threshold: Json) => ({
  roles: { ...roles, [name]: { keyids, threshold } },
});
const id = first!.publicKey.keyId;

test("a root whose roles cannot be read is refused by role", async () => {
  for (const name of ["root", "targets", "snapshot", "timestamp"]) {
    for (const change of [
      role(name, [id], 0),
      role(name, [id], 1.5),
      role(
        name,
        Array.from({ length: 65 }, (_, i) => `${i}`),
        1,
      ),
    ]) {
      // A fraction has no canonical form to sign, so these are not signed: reading comes first.
      const bytes = Buffer.from(JSON.stringify({ signatures: [], signed: { ...signed, ...change } }));
      assert.equal(codeOf(readRoot(bytes)), "trust/malformed", name);
    }
    const twice = Buffer.from(
      JSON.stringify({ signatures: [], signed: { ...signed, ...role(name, [id, id], 1) } }),
    );
    assert.equal(codeOf(readRoot(twice)), "trust/malformed", name);
  }
  const assignment = { "x-falconry-assignment": { keyids: "all", threshold: 1 } };
  assert.equal(codeOf(readRoot(await odd(assignment))), "trust/malformed");
  assert.equal(
    codeOf(readRoot(await odd({ "x-falconry-assignment": { keyids: [id], threshold: 0 } }))),
    "trust/malformed",
  );
  assert.equal(codeOf(readRoot(await odd({ "x-falconry-org": "A B" }))), "trust/malformed");
});

test("a server publishes no root that is not ours, cannot sign, or names keys wrongly", async () => {
  const check = async (change: object) =>
    codeOf(checkNextRoot(undefined, await odd(change), onlineKeys, now));
  const alias = "a".repeat(64);
  const key = held[id]!;
  assert.equal(await check({}), "accepted");
  assert.equal(await check({ "x-falconry-org": undefined }), "trust/wrong-org");
  assert.equal(await check({ "x-falconry-assignment": undefined }), "trust/wrong-online-key");
  assert.equal(
    await check({ keys: { ...held, [alias]: key }, ...role("targets", [alias], 1) }),
    "trust/malformed",
  );
  assert.equal(await check(role("targets", [id], 2)), "trust/threshold-not-met");
  assert.equal(await check(role("targets", ["0".repeat(64)], 1)), "trust/threshold-not-met");
  assert.equal(await check(role("snapshot", [onlineKeys.snapshot.keyId, id], 2)), "trust/wrong-online-key");
  const rsa = { keytype: "rsa", scheme: "rsassa-pss-sha256", keyval: { public: "x" } };
  assert.equal(
    await check({ keys: { ...held, [alias]: rsa }, ...role("targets", [alias], 1) }),
    "trust/malformed",
  );
  assert.equal(
    codeOf(checkNextRoot(Buffer.from("{"), await makeRoot(keys, now, { version: 2 }), onlineKeys, now)),
    "trust/malformed",
  );
  const unnamed = newRoot({
    org: "A B",
    version: 1,
    keys: publicOf(keys),
    thresholds: { root: 1, targets: 1 },
    now,
  });
  assert.equal(codeOf(unnamed), "trust/invalid-name");
});

test("unreadable or expired neighbours are refused when targets are made or published", async () => {
  const garbage = Buffer.from("{");
  assert.equal(codeOf(newTargets(garbage, { add: [], now })), "trust/malformed");
  assert.equal(
    codeOf(newTargets(release.targets, { add: [], remove: ["rules/x/1.0.0.json"], now })),
    "trust/not-listed",
  );
  assert.equal(codeOf(checkNextTargets(garbage, undefined, release.targets, now)), "trust/malformed");
  assert.equal(codeOf(checkNextTargets(root, undefined, garbage, now)), "trust/malformed");
  const next = valueOf(
    await signMetadata(valueOf(newTargets(release.targets, { add: [], now })), keys.targets),
  );
  assert.equal(codeOf(checkNextTargets(root, garbage, next, now)), "trust/malformed");
  const shortRoot = await makeRoot(keys, now, { lifetimeMs: 1000 });
  const result = checkNextTargets(shortRoot, undefined, release.targets, new Date(now.getTime() + 1000));
  assert.ok(!result.ok && result.refusal.message.startsWith("root 1 expired"));
});
