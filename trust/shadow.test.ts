import assert from "node:assert/strict";
import { test } from "node:test";

import { signAssignment, signShadow, verifyShadow, type Envelope, type ShadowOrder } from "#trust";

import { codeOf, joined, makeBundle, makeRelease, makeRoot, newKeys, valueOf } from "./fixture.ts";
import { signEnvelope } from "./envelope.ts";
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

const good = await sign();
const text = Buffer.from(good.payload).toString();
const { notBefore, expires, clusterId, org, target } = order;
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
