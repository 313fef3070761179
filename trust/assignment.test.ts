import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  bundleBytesMax,
  bundleDigest,
  checkBundle,
  checkTarget,
  emptyTrusted,
  raiseGeneration,
  signAssignment,
  signEnvelope,
  signMetadata,
  verifyAssignment,
  type Assignment,
  type Envelope,
} from "#trust";

import { readTarget } from "./assignment.ts";
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
import type { Json } from "./json.ts";
import { encodeMetadata, parseMetadata } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const later = (ms: number) => new Date(now.getTime() + ms);
const keys = newKeys();
const bundle = makeBundle();
const trusted = joined(await makeRoot(keys, now), await makeRelease(keys, now, [bundle]), now);
const [assigner] = keys.assignment;
const context = { org: "default", clusterId: "cl_1", generationFloor: 7, now };
const assignment: Assignment = {
  org: "default",
  clusterId: "cl_1",
  generation: 7,
  targets: [bundle.target],
  notBefore: now,
  expires: later(3_600_000),
};
const sign = (change: Partial<Assignment> = {}, key = assigner!) =>
  signAssignment({ ...assignment, ...change }, key);

test("an agent reads back exactly what the server assigned to it", async () => {
  assert.deepEqual(valueOf(verifyAssignment(trusted, await sign(), context)), assignment);
});

const type = "application/vnd.falconry.assignment+json";
const raw = (text: string) => signEnvelope(type, Buffer.from(text), [assigner!]);
const good = await sign();
const attacks: readonly [string, Envelope, string][] = [
  ["for another organisation", await sign({ org: "evil" }), "trust/wrong-org"],
  ["for another cluster", await sign({ clusterId: "cl_2" }), "trust/wrong-cluster"],
  ["of a generation before the newest seen", await sign({ generation: 6 }), "trust/stale-generation"],
  ["that has expired", await sign({ expires: now }), "trust/expired"],
  ["that does not hold yet", await sign({ notBefore: later(1000) }), "trust/not-yet-valid"],
  ["by the targets key", await sign({}, keys.targets[0]), "trust/unknown-key"],
  ["by a stranger", await sign({}, newKeys().assignment[0]), "trust/unknown-key"],
  ["by nobody", { ...good, signatures: [] }, "trust/threshold-not-met"],
  [
    "by a stranger under the right key id",
    {
      ...good,
      signatures: [
        {
          keyId: assigner!.publicKey.keyId,
          signature: (await sign({}, newKeys().assignment[0])).signatures[0]!.signature,
        },
      ],
    },
    "trust/threshold-not-met",
  ],
  ["of another type", { ...good, payloadType: "application/vnd.falconry.state-report" }, "trust/malformed"],
  ["with two rules bundles", await sign({ targets: [bundle.target, bundle.target] }), "trust/malformed"],
  [
    "with generation 1.5",
    await raw(Buffer.from(good.payload).toString().replace(":7", ":1.5")),
    "trust/malformed",
  ],
  [
    "with an unknown field",
    await raw(Buffer.from(good.payload).toString().replace("{", '{"x":1,')),
    "trust/malformed",
  ],
  ["with a __proto__", await raw('{"__proto__":{"org":"default"}}'), "trust/malformed"],
  ["with 17 signatures", { ...good, signatures: Array(17).fill(good.signatures[0]) }, "trust/too-large"],
  ["of two megabytes", await raw(" ".repeat(2 * 1024 * 1024)), "trust/too-large"],
  ["of a megabyte", await raw(" ".repeat(1024 * 1024)), "trust/too-large"],
];
for (const [name, envelope, code] of attacks) {
  test(`verifyAssignment() refuses with ${code} an assignment ${name}`, () => {
    assert.equal(codeOf(verifyAssignment(trusted, envelope, context)), code);
  });
}

test("an assignment that is signed but cannot be read is refused, whichever part of it is odd", async () => {
  const payload = JSON.parse(Buffer.from(good.payload).toString()) as { targets: readonly object[] };
  const target = payload.targets[0]!;
  const withTarget = (change: object) => ({ targets: [{ ...target, ...change }] });
  const read = async (value: unknown) =>
    codeOf(verifyAssignment(trusted, await raw(JSON.stringify(value)), context));
  assert.equal(await read(payload), "accepted");
  assert.equal(await read({ ...payload, targets: [] }), "accepted", "a cluster may have nothing to run yet");
  for (const odd of [
    { org: undefined },
    { org: 1 },
    { org: ["default"] },
    { org: "A B" },
    { clusterId: undefined },
    { clusterId: ["cl_1"] },
    { clusterId: "../cl_1" },
    { generation: undefined },
    { generation: "7" },
    { generation: 0 },
    { generation: 2 ** 53 },
    { notBefore: undefined },
    { notBefore: "2030-01-01" },
    { expires: undefined },
    { expires: 1_900_000_000 },
    { targets: undefined },
    { targets: "all" },
    { targets: { 0: target } },
    { targets: [null] },
    { targets: [undefined, target] },
    withTarget({ mode: "shadow" }),
  ]) {
    assert.equal(await read({ ...payload, ...odd }), "trust/malformed", JSON.stringify(odd));
  }
  for (const odd of [[], "text", null]) assert.equal(await read(odd), "trust/malformed");
});

test("a target of a signed document is read whole or not at all", () => {
  const { target } = bundle;
  const long = "x".repeat(200);
  for (const change of [{}, { length: 1 }, { length: bundleBytesMax }, { path: long }, { kind: "shipper" }]) {
    assert.deepEqual(readTarget({ ...target, ...change }), { ...target, ...change });
  }
  for (const odd of [undefined, null, "rules", 1, [], [{ ...target }]]) {
    assert.equal(readTarget(odd), undefined);
  }
  for (const change of [
    { kind: undefined },
    { kind: "exec" },
    { kind: ["rules"] },
    { path: undefined },
    { path: [target.path] },
    { path: `${long}x` },
    { sha256: undefined },
    { sha256: "00" },
    { sha256: [target.sha256] },
    { sha256: target.sha256.toUpperCase() },
    { length: undefined },
    { length: "1" },
    { length: 0 },
    { length: 1.5 },
    { length: bundleBytesMax + 1 },
    { mode: "shadow" },
  ]) {
    const odd = { ...target, ...change } as unknown as Json;
    assert.equal(readTarget(odd), undefined, JSON.stringify(change));
  }
});

test("an assignment must be for the organisation of the agent and of its root, which are one", async () => {
  const other = { ...context, org: "other" };
  assert.equal(codeOf(verifyAssignment(trusted, good, other)), "trust/wrong-org");
  const moved = await sign({ org: "other" });
  assert.equal(codeOf(verifyAssignment(trusted, moved, other)), "trust/wrong-org");
});

test("an assignment holds from its first second to its last, and from the generation that was seen", async () => {
  const check = async (change: Partial<Assignment>, at: Date) =>
    codeOf(verifyAssignment(trusted, await sign(change), { ...context, now: at }));
  assert.equal(await check({}, now), "accepted");
  assert.equal(await check({}, later(-1)), "trust/not-yet-valid");
  assert.equal(await check({}, later(3_599_999)), "accepted");
  assert.equal(await check({}, later(3_600_000)), "trust/expired");
  assert.equal(await check({ generation: 7 }, now), "accepted");
  assert.equal(await check({ generation: 6 }, now), "trust/stale-generation");
  const { generationFloor: _, ...floorless } = context;
  const first = verifyAssignment(trusted, await sign({ generation: 1 }), floorless);
  assert.equal(valueOf(first).generation, 1);
});

test("a root that names no assignment role lets nobody assign", async () => {
  const { signed } = valueOf(parseMetadata("root", Buffer.from(trusted.root)));
  const { "x-falconry-assignment": _, ...plain } = signed;
  const root = valueOf(await signMetadata(encodeMetadata(plain), keys.root));
  const bare = valueOf(emptyTrusted(root));
  assert.equal(codeOf(verifyAssignment(bare, good, context)), "trust/unknown-key");
});

test("released targets that are no bundles of ours start nothing", async () => {
  const { signed } = valueOf(parseMetadata("targets", Buffer.from(trusted.targets!)));
  const entry = { length: 1, hashes: { sha256: "0".repeat(64) } };
  const odd = valueOf(
    await signMetadata(encodeMetadata({ ...signed, targets: { "a.txt": entry } }), keys.targets),
  );
  const online = await makeOnline(keys, now, odd, 1);
  const held = joined(Buffer.from(trusted.root), { targets: odd, ...online }, now);
  assert.equal(codeOf(checkTarget(held, bundle.target, now)), "trust/malformed");
  const garbage = Buffer.from("{}");
  const target = { ...bundle.target, length: 2, sha256: bundleDigest(garbage).slice("sha256:".length) };
  assert.equal(codeOf(checkBundle(target, garbage, "default")), "trust/invalid-bundle");
});

test("only metadata can be signed", async () => {
  for (const text of ["{", "[]", "{}", '{"signed":{"_type":"mirrors"}}', '{"signed":{"_type":"root"}}']) {
    assert.equal(codeOf(await signMetadata(Buffer.from(text), keys.root)), "trust/malformed", text);
  }
});

test("no changed byte of payload or signature is accepted", () => {
  const change = fc.tuple(fc.boolean(), fc.nat(10_000), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(change, ([inPayload, at, by]) => {
      const payload = Buffer.from(good.payload);
      const signature = Buffer.from(good.signatures[0]!.signature);
      const changed = inPayload ? payload : signature;
      changed[at % changed.length]! ^= by;
      const envelope = { ...good, payload, signatures: [{ ...good.signatures[0]!, signature }] };
      return !verifyAssignment(trusted, envelope, context).ok;
    }),
    { numRuns: 300 },
  );
});

test("the generation floor lives in the trust state and never falls", async () => {
  const raised = raiseGeneration(raiseGeneration(trusted, 9), 8);
  assert.equal(raised.generationFloor, 9);
  assert.equal(codeOf(verifyAssignment(raised, await sign(), context)), "trust/stale-generation");
});

test("checkBundle() takes only the very bytes, of this organisation, under their own path", () => {
  const { target, bytes } = bundle;
  assert.equal(checkBundle(target, bytes, "default").ok, true);
  assert.equal(codeOf(checkBundle(target, bytes, "other")), "trust/wrong-org");
  assert.equal(codeOf(checkBundle(target, bytes.subarray(1), "default")), "trust/length-mismatch");
  const flipped = Buffer.from(bytes);
  flipped[5]! ^= 1;
  assert.equal(codeOf(checkBundle(target, flipped, "default")), "trust/hash-mismatch");
  const renamed = { ...target, path: "rules/starter/9.0.0.json" };
  assert.equal(codeOf(checkBundle(renamed, bytes, "default")), "trust/not-listed");
  const shipper = { ...target, kind: "shipper" } as const;
  assert.equal(codeOf(checkBundle(shipper, bytes, "default")), "trust/not-listed");
});
