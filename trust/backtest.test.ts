import assert from "node:assert/strict";
import { test } from "node:test";

import { signBacktest, signShadow, verifyBacktest, type Envelope, type BacktestOrder } from "#trust";

import { codeOf, joined, makeBundle, makeRelease, makeRoot, newKeys, valueOf } from "./fixture.ts";
import { signEnvelope } from "./envelope.ts";
import { backtestType } from "./backtest.ts";

const now = new Date("2030-01-01T00:00:00Z");
const later = (ms: number) => new Date(now.getTime() + ms);
const keys = newKeys();
const bundle = makeBundle();
const trusted = joined(await makeRoot(keys, now), await makeRelease(keys, now, [bundle]), now);
const [assigner] = keys.assignment;
const context = { org: "default", clusterId: "cl_1", now };
const order: BacktestOrder = {
  org: "default",
  clusterId: "cl_1",
  backtestId: "bt_1",
  target: bundle.target,
  since: later(-7_200_000),
  until: later(-60_000),
  notBefore: now,
  expires: later(3_600_000),
};
const sign = (change: Partial<BacktestOrder> = {}, key = assigner!) =>
  signBacktest({ ...order, ...change }, key);
const raw = (text: string) => signEnvelope(backtestType, Buffer.from(text), [assigner!]);

test("an agent reads back exactly what the server ordered it to replay", async () => {
  assert.deepEqual(valueOf(verifyBacktest(trusted, await sign(), context)), order);
});

test("an order may be for as long as a day and for a single second of events, and for no more and no less", async () => {
  const check = async (change: Partial<BacktestOrder>) =>
    codeOf(verifyBacktest(trusted, await sign(change), context));
  assert.equal(await check({ expires: later(86_400_000) }), "accepted");
  assert.equal(await check({ expires: later(86_401_000) }), "trust/malformed");
  assert.equal(await check({ until: later(-7_199_000) }), "accepted");
  assert.equal(await check({ until: order.since }), "trust/malformed");
});

test("an order without a beginning or an end of its events, or with one that is no time, is refused", async () => {
  const said = JSON.parse(text) as object;
  const read = async (value: object) =>
    codeOf(verifyBacktest(trusted, await raw(JSON.stringify(value)), context));
  assert.equal(await read(said), "accepted");
  for (const field of ["since", "until"]) {
    for (const value of [undefined, "2029-12-31", 7]) {
      assert.equal(await read({ ...said, [field]: value }), "trust/malformed", `${field} ${value}`);
    }
  }
});

const good = await sign();
const text = Buffer.from(good.payload).toString();
const attacks: readonly (readonly [string, Envelope, string])[] = [
  ["for another cluster", await sign({ clusterId: "cl_2" }), "trust/wrong-cluster"],
  ["whose time is over", await sign({ expires: now }), "trust/expired"],
  ["by the key that releases bundles", await sign({}, keys.targets[0]), "trust/unknown-key"],
  ["with an unknown field", await raw(text.replace("{", '{"x":1,')), "trust/malformed"],
  ["without a since", await raw(text.replace('"since"', '"from"')), "trust/malformed"],
  ["of a time that ends before it begins", await sign({ until: order.since }), "trust/malformed"],
  ["that never ends", await sign({ expires: later(30 * 86_400_000) }), "trust/malformed"],
  ["that is a shadow's", await signShadow({ ...order, rolloutId: "ro_1" }, assigner!), "trust/malformed"],
];
for (const [name, envelope, code] of attacks) {
  test(`verifyBacktest() refuses with ${code} an order ${name}`, () => {
    assert.equal(codeOf(verifyBacktest(trusted, envelope, context)), code);
  });
}
