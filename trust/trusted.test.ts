import assert from "node:assert/strict";
import { test } from "node:test";

import {
  checkNextRoot,
  checkNextTargets,
  checkTarget,
  decodeTrusted,
  encodeTrusted,
  layerListBytesMax,
  layersHeldMax,
  newRoot,
  newTargets,
  raiseGeneration,
  readRoot,
  signMetadata,
  trustedAssigners,
  trustedLists,
  trustedLives,
  trustedVersions,
  updateTrusted,
  verifyAssignment,
  type Trusted,
} from "#trust";

import {
  codeOf,
  joined,
  makeBundle,
  makeLayer,
  makeLayerList,
  makeRelease,
  makeRoot,
  newKeys,
  publicOf,
  valueOf,
} from "./fixture.ts";
import { isObject, type Json } from "./json.ts";
import { keyIdOf } from "./keys.ts";
import { encodeMetadata, metadataBytesMax, parseMetadata } from "./metadata.ts";
import { viewTrusted } from "./trusted.ts";

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
    [
      { root: Buffer.from(root).toString().replace('"expires":"2031', '"expires":"2041') },
      "trust/threshold-not-met",
    ],
    [{ timestamp: 1 }, "trust/malformed"],
    [{ timestamp: "{}" }, "trust/malformed"],
    [{ snapshot: state["timestamp"] }, "trust/malformed"],
    [{ targets: "" }, "trust/malformed"],
    [{ generationFloor: -1 }, "trust/malformed"],
    [{ generationFloor: "7" }, "trust/malformed"],
    [{ generationFloor: 1.5 }, "trust/malformed"],
    [{ generationFloor: 2 ** 53 }, "trust/malformed"],
    [{ targets: null }, "trust/malformed"],
    [{ generationFloor: undefined }, "trust/malformed"],
    [{ extra: 1 }, "trust/malformed"],
  ];
  for (const [change, code] of cases) assert.equal(decode(change), code, JSON.stringify(change).slice(0, 80));
  for (const text of ["[]", "null", "1", '"text"', "{}"]) {
    const result = decodeTrusted(text);
    assert.ok(!result.ok && /trust state is not of format 1/.test(result.refusal.message), text);
  }
  const garbage = decodeTrusted("not json");
  assert.ok(!garbage.ok && /trust state is not JSON/.test(garbage.refusal.message));
  assert.equal(
    codeOf(decodeTrusted(" ".repeat(12 * metadataBytesMax + 6 * layersHeldMax * layerListBytesMax + 1))),
    "trust/too-large",
  );
});

test("a trust state without what an agent has not got yet is whole", () => {
  const { root: text, timestamp, generationFloor } = trusted;
  const states: readonly Trusted[] = [
    { root: text, generationFloor: 0 },
    { root: text, timestamp: timestamp!, generationFloor },
    { ...trusted, generationFloor: 2 ** 53 - 1 },
  ];
  for (const state of states) assert.deepEqual(valueOf(decodeTrusted(encodeTrusted(state))), state);
});

test("a generation that was seen before is no news, so nothing is written for it", () => {
  const seen = raiseGeneration(trusted, 7);
  assert.equal(seen.generationFloor, 7);
  for (const generation of [7, 6]) assert.equal(raiseGeneration(seen, generation), seen);
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

test("an agent tells which lists of layers it holds, and of none that it cannot read", async () => {
  const first = await makeLayerList(newKeys().targets, now, [makeLayer("payments", "1.0.0")]);
  const second = await makeLayerList(newKeys().targets, now, [makeLayer("payments", "1.1.0")], first);
  const layers = { payments: Buffer.from(second).toString(), cards: Buffer.from(first).toString(), pos: "{" };
  assert.deepEqual(trustedLists({ ...trusted, layers }), { payments: 2 });
  assert.deepEqual(trustedLists(trusted), {});
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
    assert.deepEqual(trustedLives(damaged), {});
  }
  assert.deepEqual(trustedAssigners({ ...trusted, root: "{" }), []);
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

test("a root whose assignment role is not a bounded list of distinct ids with a threshold is refused", () => {
  // The library that reads the other roles knows nothing of this one.
  const read = (assignment: unknown) => {
    const change = { "x-falconry-assignment": assignment };
    return readRoot(Buffer.from(JSON.stringify({ signatures: [], signed: { ...signed, ...change } })));
  };
  const ids = Array.from({ length: 65 }, (_, i) => `${i}`);
  for (const keyids of [[id], [id, "0".repeat(64)], ids.slice(1), []]) {
    assert.equal(codeOf(read({ keyids, threshold: 1 })), "accepted");
  }
  for (const keyids of [undefined, null, id, { length: 1 }, [id, id], [1, 2], [id, 1], [null], ids]) {
    const result = read({ keyids, threshold: 1 });
    assert.ok(!result.ok && /role assignment has no list of at most 64/.test(result.refusal.message));
  }
  for (const threshold of [1, 2, 2 ** 53 - 1]) {
    assert.equal(valueOf(read({ keyids: [id], threshold })).assignment?.threshold, threshold);
  }
  for (const threshold of [undefined, null, "1", [1], 0, -1]) {
    const result = read({ keyids: [id], threshold });
    assert.ok(!result.ok && /role assignment has no threshold/.test(result.refusal.message));
  }
  for (const odd of [null, id, [id], 1]) assert.equal(codeOf(read(odd)), "trust/malformed");
});

test("an id that no key is held under counts for nobody, also when every object inherits it", () => {
  const keyids = [id, "constructor", "toString", "0".repeat(64)];
  const change = { "x-falconry-assignment": { keyids, threshold: 1 } };
  const bytes = Buffer.from(JSON.stringify({ signatures: [], signed: { ...signed, ...change } }));
  assert.deepEqual([...valueOf(readRoot(bytes)).assignment!.keys.keys()], [id]);
});

test("the organisation of a root is a name or absent", () => {
  const read = (org: unknown) =>
    readRoot(Buffer.from(JSON.stringify({ signatures: [], signed: { ...signed, "x-falconry-org": org } })));
  assert.equal(valueOf(read("team-a")).org, "team-a");
  assert.equal(valueOf(read(undefined)).org, undefined);
  for (const org of [null, 1, "", "A B", ["default"]]) {
    assert.equal(codeOf(read(org)), "trust/malformed");
  }
});

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
  for (const name of [alias, keyIdOf(rsa)]) {
    assert.equal(
      await check({ keys: { ...held, [name]: rsa }, ...role("targets", [name], 1) }),
      "trust/malformed",
    );
  }
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

test("metadata that did not change is read and verified once, also when only the generation rose", () => {
  const view = viewTrusted(trusted);
  assert.equal(viewTrusted(trusted), view);
  assert.equal(viewTrusted(raiseGeneration(trusted, trusted.generationFloor + 1)), view);
});
