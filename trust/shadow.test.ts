import assert from "node:assert/strict";
import { test } from "node:test";

import {
  emptyTrusted,
  signAssignment,
  signMetadata,
  signShadow,
  verifyShadow,
  type Envelope,
  type ShadowOrder,
} from "#trust";

import { codeOf, joined, makeBundle, makeRelease, makeRoot, newKeys, valueOf } from "./fixture.ts";
import { signEnvelope } from "./envelope.ts";
import { encodeMetadata, parseMetadata } from "./metadata.ts";
import { shadowType } from "./shadow.ts";

const now = new Date("2030-01-01T00:00:00Z");
const later = (ms: number) => new Date(now.getTime() + ms);
const keys = newKeys();
const bundle = makeBundle();
const trusted = joined(await makeRoot(keys, now), await makeRelease(keys, now, [bundle]), now);
const [assigner] = keys.assignment;
const context = { org: "default", clusterId: "cl_1", now };
const order: ShadowOrder = {
  org: "default",
  clusterId: "cl_1",
  rolloutId: "ro_1",
  target: bundle.target,
  notBefore: now,
  expires: later(3_600_000),
};
const sign = (change: Partial<ShadowOrder> = {}, key = assigner!) => signShadow({ ...order, ...change }, key);
const raw = (text: string) => signEnvelope(shadowType, Buffer.from(text), [assigner!]);

test("an agent reads back exactly what the server ordered it to evaluate", async () => {
  assert.deepEqual(valueOf(verifyShadow(trusted, await sign(), context)), order);
});

test("an order about a layer that a team owns is read back, too, and names a release", async () => {
  const part = { path: "layer/payments/1.0.0.json", length: 9, sha256: "a".repeat(64) };
  const layer = { kind: "layer", ...part } as const;
  const read = valueOf(verifyShadow(trusted, await sign({ target: layer }), context));
  assert.deepEqual(read.target, layer);
  const other = await sign({ target: { ...layer, path: "rules/payments/1.0.0.json" } });
  assert.equal(codeOf(verifyShadow(trusted, other, context)), "trust/malformed");
});

const good = await sign();
const text = Buffer.from(good.payload).toString();
const { notBefore, expires, clusterId, org } = order;
const { target } = bundle;
const assignment = { org, clusterId, generation: 9, targets: [target], notBefore, expires };
const attacks: readonly (readonly [string, Envelope, string])[] = [
  ["for another organisation", await sign({ org: "evil" }), "trust/wrong-org"],
  ["for another cluster", await sign({ clusterId: "cl_2" }), "trust/wrong-cluster"],
  ["whose time is over", await sign({ expires: now }), "trust/expired"],
  ["that does not hold yet", await sign({ notBefore: later(1000) }), "trust/not-yet-valid"],
  ["by the targets key", await sign({}, keys.targets[0]), "trust/unknown-key"],
  ["by a stranger", await sign({}, newKeys().assignment[0]), "trust/unknown-key"],
  ["by nobody", { ...good, signatures: [] }, "trust/threshold-not-met"],
  ["that is an assignment", await signAssignment(assignment, assigner!), "trust/malformed"],
  ["with an unknown field", await raw(text.replace("{", '{"x":1,')), "trust/malformed"],
  ["of a shipper config", await raw(text.replace('"rules"', '"shipper"')), "trust/malformed"],
  ["without a target", await raw(text.replace('"target"', '"targets"')), "trust/malformed"],
  ["that is a list", await raw("[]"), "trust/malformed"],
];
for (const [name, envelope, code] of attacks) {
  test(`verifyShadow() refuses with ${code} an order ${name}`, () => {
    assert.equal(codeOf(verifyShadow(trusted, envelope, context)), code);
  });
}

test("an order is read whole or not at all, whichever part of it is odd", async () => {
  const said = JSON.parse(text) as object;
  const read = async (value: unknown) => verifyShadow(trusted, await raw(JSON.stringify(value)), context);
  assert.equal(codeOf(await read(said)), "accepted");
  const cases: readonly [unknown, RegExp][] = [
    [null, /is not an object/],
    [[said], /is not an object/],
    [{ ...said, org: undefined }, /has no org, clusterId and rolloutId/],
    [{ ...said, org: ["default"] }, /has no org, clusterId and rolloutId/],
    [{ ...said, clusterId: undefined }, /has no org, clusterId and rolloutId/],
    [{ ...said, clusterId: "../cl_1" }, /has no org, clusterId and rolloutId/],
    [{ ...said, rolloutId: undefined }, /has no org, clusterId and rolloutId/],
    [{ ...said, rolloutId: "a/b" }, /has no org, clusterId and rolloutId/],
    [{ ...said, notBefore: undefined }, /has no notBefore and expires/],
    [{ ...said, expires: "2030-01-01" }, /has no notBefore and expires/],
    [{ ...said, target: undefined }, /has no target of kind rules/],
    [{ ...said, target: { ...target, length: 0 } }, /has no target of kind rules/],
  ];
  for (const [value, message] of cases) {
    const result = await read(value);
    assert.ok(!result.ok && result.refusal.code === "trust/malformed", JSON.stringify(value));
    assert.match(result.refusal.message, message);
  }
  assert.match(messageOf(verifyShadow(trusted, await raw("{"), context)), /shadow is not JSON/);
});

function messageOf(result: ReturnType<typeof verifyShadow>): string {
  return result.ok ? "accepted" : result.refusal.message;
}

test("an order holds from its first second to its last", async () => {
  const at = (ms: number) => codeOf(verifyShadow(trusted, good, { ...context, now: later(ms) }));
  assert.deepEqual([at(-1), at(0), at(3_599_999)], ["trust/not-yet-valid", "accepted", "accepted"]);
  assert.equal(at(3_600_000), "trust/expired");
});

test("an order must be for the organisation of the agent and of its root, which are one", async () => {
  const other = { ...context, org: "other" };
  assert.equal(codeOf(verifyShadow(trusted, good, other)), "trust/wrong-org");
  assert.equal(codeOf(verifyShadow(trusted, await sign({ org: "other" }), other)), "trust/wrong-org");
});

test("a root without an assignment role, or one that cannot be read, lets nobody order a shadow", async () => {
  const { signed } = valueOf(parseMetadata("root", Buffer.from(trusted.root)));
  const { "x-falconry-assignment": _, ...plain } = signed;
  const root = valueOf(await signMetadata(encodeMetadata(plain), keys.root));
  const refused = verifyShadow(valueOf(emptyTrusted(root)), good, context);
  assert.match(messageOf(refused), /gives no key the right to assign/);
  assert.equal(codeOf(verifyShadow({ ...trusted, root: "{" }, good, context)), "trust/malformed");
});
