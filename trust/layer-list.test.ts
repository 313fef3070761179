import assert from "node:assert/strict";
import { test } from "node:test";

import {
  checkNextLayerList,
  layerBytesMax,
  layerListBytesMax,
  newLayerList,
  newTargets,
  readLayerList,
  signMetadata,
} from "#trust";

import { codeOf, grantOf, makeBundle, makeLayer, makeLayerList, newKeys, valueOf } from "./fixture.ts";
import { generateKey } from "./keys.ts";
import { encodeMetadata, parseMetadata } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys();
const [ada, grace, stranger] = [generateKey(), generateKey(), generateKey()];
const targetsOf = (change: object = {}) =>
  valueOf(
    parseMetadata(
      "targets",
      valueOf(
        newTargets(undefined, {
          add: [makeBundle()],
          delegate: [grantOf("payments", [ada, grace], change), grantOf("cards", [stranger])],
          now,
        }),
      ),
    ),
  );
const targets = targetsOf();
const release = makeLayer();
const list = await makeLayerList([ada], now, [release]);
const check = (next: Uint8Array, current?: Uint8Array, at = now, by = targets) =>
  codeOf(checkNextLayerList(by, "payments", current, next, at));

test("a team releases its layer with its own key, version after version", async () => {
  const next = await makeLayerList([ada], now, [makeLayer("payments", "1.1.0")], list);
  assert.equal(check(list), "accepted");
  assert.equal(check(list, list), "accepted", "pushing the same again");
  assert.equal(check(next, list), "accepted");
  assert.deepEqual(
    [...valueOf(readLayerList(next, "payments")).listed.keys()],
    ["layer/payments/1.0.0.json", "layer/payments/1.1.0.json"],
  );
  const remove = ["layer/payments/1.0.0.json"];
  const one = valueOf(newLayerList(next, { layer: "payments", add: [], remove, now }));
  assert.deepEqual([...valueOf(readLayerList(one, "payments")).listed.keys()], ["layer/payments/1.1.0.json"]);
  const again = valueOf(newLayerList(list, { layer: "payments", add: [release], now }));
  assert.deepEqual(
    valueOf(readLayerList(again, "payments")).listed,
    valueOf(readLayerList(list, "payments")).listed,
  );
  assert.equal(codeOf(newLayerList(one, { layer: "payments", add: [], remove, now })), "trust/not-listed");
});

test("a list is worth nothing without the signatures that the delegation demands", async () => {
  const unsigned = valueOf(newLayerList(undefined, { layer: "payments", add: [release], now }));
  const signed = async (...signers: (typeof ada)[]) => valueOf(await signMetadata(unsigned, signers));
  assert.equal(check(unsigned), "trust/threshold-not-met");
  assert.equal(check(await signed(stranger)), "trust/unknown-key", "the key of another layer");
  assert.equal(check(await signed(keys.targets[0]!)), "trust/unknown-key", "not even the targets keys");
  assert.equal(check(await signed(grace)), "accepted");
  const two = targetsOf({ threshold: 2 });
  assert.equal(check(await signed(ada), undefined, now, two), "trust/threshold-not-met");
  assert.equal(check(await signed(ada, grace), undefined, now, two), "accepted");
  const forged = Buffer.from(
    Buffer.from(list)
      .toString()
      .replace('"version":"1.0.0"', '"version":"1.0.1"')
      .replace("payments/1.0.0", "payments/1.0.1"),
  );
  assert.equal(check(forged), "trust/threshold-not-met");
});

test("a layer that is not delegated, or no longer, has no list", async () => {
  const cards = await makeLayerList([ada], now, [makeLayer("cards")]);
  assert.equal(codeOf(checkNextLayerList(targets, "cards", undefined, cards, now)), "trust/unknown-key");
  assert.equal(codeOf(checkNextLayerList(targets, "loans", undefined, cards, now)), "trust/not-delegated");
});

test("a list that goes back, skips a version or is over is not published", async () => {
  const next = await makeLayerList([ada], now, [makeLayer("payments", "1.1.0")], list);
  const third = await makeLayerList([ada], now, [makeLayer("payments", "1.2.0")], next);
  assert.equal(check(list, next), "trust/rollback");
  assert.equal(
    check(await makeLayerList([ada], now, [makeLayer("payments", "9.0.0")]), list),
    "trust/rollback",
  );
  assert.equal(check(third, list), "trust/version-mismatch");
  assert.equal(check(list, undefined, new Date("2030-04-02T00:00:00Z")), "trust/expired");
});

test("a version of a layer that was released can never mean other bytes", async () => {
  const other = makeLayer("payments", "1.0.0", "- list: y\n");
  assert.equal(codeOf(newLayerList(list, { layer: "payments", add: [other], now })), "trust/changed-target");
  const { signed } = valueOf(readLayerList(await makeLayerList([ada], now, [other]), "payments")).document;
  const next = valueOf(await signMetadata(encodeMetadata({ ...signed, version: 2 }), [ada]));
  assert.equal(check(next, list), "trust/changed-target");
});

test("a layer's key signs for nothing but releases of its layer", async () => {
  const { signed } = valueOf(parseMetadata("targets", list));
  const entry = {
    length: 10,
    hashes: { sha256: "0".repeat(64) },
    custom: { kind: "layer", name: "payments", version: "2.0.0" },
  };
  const path = "layer/payments/2.0.0.json";
  const custom = (change: object) => ({ ...entry, custom: { ...entry.custom, ...change } });
  const listing = (at: string, odd: unknown) =>
    encodeMetadata({ ...signed, targets: { [at]: odd as never } });
  for (const length of [1, layerBytesMax]) {
    assert.equal(codeOf(readLayerList(listing(path, { ...entry, length }), "payments")), "accepted");
  }
  const cases: readonly [string, object][] = [
    ["rules/starter/2.0.0.json", custom({ kind: "rules", name: "starter" })],
    ["rules/payments/2.0.0.json", custom({ kind: "rules" })],
    ["layer/cards/2.0.0.json", custom({ name: "cards" })],
    ["layer/payments/../cards/2.0.0.json", entry],
    ["layer/payments/2.0.1.json", entry],
    [path, custom({ kind: "rules" })],
    [path, custom({ name: "cards" })],
    [path, custom({ name: ["payments"] })],
    [path, custom({ version: "2.0.1" })],
    ["layer/payments/new.json", custom({ version: "new" })],
    [path, { ...entry, custom: undefined }],
    [path, { ...entry, length: 0 }],
    [path, { ...entry, length: layerBytesMax + 1 }],
    [path, { ...entry, hashes: { sha256: "0".repeat(63) } }],
    [path, { ...entry, hashes: { sha512: "00" } }],
  ];
  for (const [at, odd] of cases) {
    const bytes = listing(at, odd);
    assert.equal(
      codeOf(readLayerList(bytes, "payments")),
      "trust/beyond-delegation",
      `${at} ${JSON.stringify(odd)}`,
    );
    const byTeam = valueOf(await signMetadata(bytes, [ada]));
    assert.equal(check(byTeam), "trust/beyond-delegation");
  }
});

test("a team cannot give its layer on: there are no chains of delegations, and no circles", async () => {
  const { signed } = valueOf(parseMetadata("targets", list));
  const { delegations = null } = targets.signed;
  for (const more of [delegations, { keys: {}, roles: [] }]) {
    const bytes = encodeMetadata({ ...signed, delegations: more });
    const result = readLayerList(bytes, "payments");
    assert.ok(!result.ok && /delegates in its turn/.test(result.refusal.message));
    assert.equal(check(valueOf(await signMetadata(bytes, [ada]))), "trust/malformed");
  }
});

test("a list has a bound, so that agents can keep it", () => {
  const text = Buffer.from(list).toString();
  const padded = (length: number) => Buffer.from(text + " ".repeat(length - text.length));
  assert.equal(codeOf(readLayerList(padded(layerListBytesMax), "payments")), "accepted");
  assert.equal(codeOf(readLayerList(padded(layerListBytesMax + 1), "payments")), "trust/too-large");
  const many = Array.from({ length: 400 }, (_, n) => makeLayer("payments", `1.0.${n}`));
  assert.equal(codeOf(newLayerList(undefined, { layer: "payments", add: many, now })), "trust/too-large");
  const garbage = Buffer.from("{");
  assert.equal(codeOf(readLayerList(garbage, "payments")), "trust/malformed");
  assert.equal(codeOf(newLayerList(garbage, { layer: "payments", add: [], now })), "trust/malformed");
  assert.equal(check(list, garbage), "trust/malformed");
});

test("a list that names nothing releases nothing, whether its list is empty or absent", () => {
  const { signed } = valueOf(parseMetadata("targets", list));
  for (const none of [{}, undefined]) {
    const bytes = encodeMetadata({ ...signed, targets: none as never });
    assert.equal(valueOf(readLayerList(bytes, "payments")).listed.size, 0);
  }
});
