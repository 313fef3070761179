import assert from "node:assert/strict";
import { test } from "node:test";

import { checkNextTargets, findDelegation, newTargets, readDelegations, signMetadata } from "#trust";

import { layerField } from "./delegations.ts";
import { codeOf, grantOf, makeBundle, makeRelease, makeRoot, newKeys, valueOf } from "./fixture.ts";
import type { Json } from "./json.ts";
import { generateKey } from "./keys.ts";
import { encodeMetadata, parseMetadata } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys();
const root = await makeRoot(keys, now);
const { targets } = await makeRelease(keys, now, [makeBundle()]);
const team = generateKey();
const other = generateKey();
const payments = grantOf("payments", [team]);
const given = valueOf(newTargets(targets, { add: [], delegate: [payments], now }));
const documentOf = (bytes: Uint8Array) => valueOf(parseMetadata("targets", bytes));
const publish = async (unsigned: Uint8Array) => {
  const signed = await signMetadata(unsigned, keys.targets);
  return signed.ok ? codeOf(checkNextTargets(root, targets, signed.value, now)) : codeOf(signed);
};
/** What an agent makes of the delegation. */
const rightIn = (bytes: Uint8Array) => {
  const document = parseMetadata("targets", bytes);
  return document.ok ? codeOf(findDelegation(document.value, "payments")) : codeOf(document);
};

type Role = Record<string, Json>;

/** Targets whose delegations say something else. */
function altered(change: (role: Role, delegations: Record<string, Json>) => unknown): Uint8Array {
  const signed = structuredClone(documentOf(given).signed) as unknown as {
    delegations: { keys: Record<string, Json>; roles: Role[] };
  };
  change(signed.delegations.roles[0]!, signed.delegations);
  return encodeMetadata(signed);
}
const terms = (change: object) => altered((role) => Object.assign(role[layerField] as object, change));

test("a delegated layer is read as it was granted: its keys, its clusters, its place and its bounds", () => {
  const found = valueOf(findDelegation(documentOf(given), "payments"));
  const { authority, ...said } = found;
  const { keys: _keys, threshold: _threshold, ...wanted } = payments;
  assert.deepEqual(said, wanted);
  assert.deepEqual([...authority.keys.values()], [team.publicKey]);
  assert.equal(authority.threshold, 1);
  assert.equal(authority.from, "targets 2");
});

test("a layer that may bring nothing of its own has no prefix", () => {
  const { prefix: _prefix, ...grant } = payments;
  const bytes = valueOf(newTargets(targets, { add: [], delegate: [grant], now }));
  const { authority: _authority, ...said } = valueOf(findDelegation(documentOf(bytes), "payments"));
  const { keys: _keys, threshold: _threshold, ...wanted } = grant;
  assert.deepEqual(said, wanted);
});

test("releasing a bundle, or withdrawing one, leaves every delegation as it was", () => {
  const next = valueOf(newTargets(given, { add: [makeBundle("1.1.0")], now }));
  const remove = ["rules/starter/1.1.0.json"];
  const last = valueOf(newTargets(next, { add: [], remove, now }));
  for (const bytes of [next, last]) {
    assert.deepEqual(documentOf(bytes).signed["delegations"], documentOf(given).signed["delegations"]);
  }
});

test("a layer can be given on other terms, and taken back; the others stay", () => {
  const cards = grantOf("cards", [other]);
  const two = valueOf(newTargets(given, { add: [], delegate: [cards], now }));
  const layersIn = (bytes: Uint8Array) => [...valueOf(readDelegations(documentOf(bytes))).keys()];
  assert.deepEqual(layersIn(two), ["payments", "cards"]);
  const changed = valueOf(newTargets(two, { add: [], delegate: [{ ...payments, tune: ["Exec"] }], now }));
  assert.deepEqual(valueOf(findDelegation(documentOf(changed), "payments")).tune, ["Exec"]);
  const one = valueOf(newTargets(two, { add: [], revoke: ["payments"], now }));
  assert.deepEqual(layersIn(one), ["cards"]);
  assert.equal(codeOf(findDelegation(documentOf(one), "payments")), "trust/not-delegated");
  const none = valueOf(newTargets(one, { add: [], revoke: ["cards"], now }));
  assert.equal(documentOf(none).signed["delegations"], undefined);
  assert.equal(codeOf(newTargets(one, { add: [], revoke: ["payments"], now })), "trust/not-delegated");
  assert.equal(codeOf(newTargets(undefined, { add: [], revoke: ["payments"], now })), "trust/not-delegated");
});

test("a server publishes delegations that the targets keys signed, and no others", async () => {
  assert.equal(await publish(given), "accepted");
  const byTeam = valueOf(await signMetadata(given, [team]));
  assert.equal(codeOf(checkNextTargets(root, targets, byTeam, now)), "trust/unknown-key");
});

test("a key that signs targets cannot be a layer's as well: one signature would hold for two lists", async () => {
  const shared = newTargets(targets, { add: [], delegate: [grantOf("payments", keys.targets)], now });
  assert.equal(await publish(valueOf(shared)), "trust/malformed");
});

test("a delegation of something else is refused as that, whatever its paths are", () => {
  const others: readonly [string, string][] = [
    ["layer-Pay", "layer/Pay/*"],
    ["owner-payments", "layer/payments/*"],
  ];
  for (const [name, path] of others) {
    const read = readDelegations(documentOf(altered((role) => Object.assign(role, { name, paths: [path] }))));
    assert.ok(
      !read.ok && /is of no layer; its name has to be/.test(read.refusal.message),
      JSON.stringify(read),
    );
  }
});

test("a delegation that nobody could ever sign for is not published", async () => {
  const two = newTargets(targets, { add: [], delegate: [{ ...payments, threshold: 2 }], now });
  assert.equal(await publish(valueOf(two)), "trust/threshold-not-met");
  const renamed = altered((role, delegations) => {
    role["keyids"] = ["ab"];
    delegations["keys"] = { ab: Object.values(delegations["keys"] as object)[0] as Json };
  });
  assert.equal(await publish(renamed), "trust/malformed");
  const twice = grantOf("payments", [team, other], { threshold: 2 });
  assert.equal(await publish(valueOf(newTargets(targets, { add: [], delegate: [twice], now }))), "accepted");
});

test("a delegation that is not exactly one of a layer gives no right, and is not published", async () => {
  const cases: readonly [string, Uint8Array][] = [
    ["another role's name", altered((role) => (role["name"] = "payments"))],
    ["a name as long as a role's", altered((role) => (role["name"] = "owner-payments"))],
    ["a list for a name", altered((role) => (role["name"] = ["layer-payments"]))],
    [
      "paths that fit a name that is none",
      altered((role) => Object.assign(role, { name: "layer-Pay", paths: ["layer/Pay/*"] })),
    ],
    [
      "more keys than can be read",
      altered((role) => (role["keyids"] = Array.from({ length: 65 }, (_, n) => `k${n}`))),
    ],
    ["a name that is none", altered((role) => (role["name"] = "layer-Pay ments"))],
    ["no layer", altered((role) => (role["name"] = "layer-"))],
    ["all paths", altered((role) => (role["paths"] = ["*"]))],
    ["paths of bundles", altered((role) => (role["paths"] = ["rules/starter/*"]))],
    ["paths of another layer", altered((role) => (role["paths"] = ["layer/cards/*"]))],
    ["more paths", altered((role) => (role["paths"] = ["layer/payments/*", "rules/starter/*"]))],
    ["no paths", altered((role) => (role["paths"] = []))],
    [
      "hashes of paths",
      altered((role) => {
        delete role["paths"];
        role["path_hash_prefixes"] = ["00"];
      }),
    ],
    ["not terminating", altered((role) => (role["terminating"] = false))],
    ["a threshold of nothing", altered((role) => (role["threshold"] = 0))],
    [
      "the same key twice",
      altered((role) => (role["keyids"] = [team.publicKey.keyId, team.publicKey.keyId])),
    ],
    ["no terms", altered((role) => delete role[layerField])],
    ["terms that are none", altered((role) => (role[layerField] = "all"))],
    ["a limit that is not known", terms({ until: "2031-01-01" })],
    ["the place of the base", terms({ level: "base" })],
    ["no place", terms({ level: undefined })],
    ["every cluster", terms({ selector: {} })],
    ["no selector", terms({ selector: undefined })],
    ["a list for a selector", terms({ selector: ["team=payments"] })],
    [
      "too many labels",
      terms({ selector: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`l${n}`, "x"])) }),
    ],
    ["a label that is none", terms({ selector: { "te am": "payments" } })],
    ["one label of two that is none", terms({ selector: { team: "payments", "te am": "x" } })],
    ["a list for a name of a rule", terms({ tune: [["Exec"]] })],
    ["a value that is none", terms({ selector: { team: "" } })],
    ["a value that is no text", terms({ selector: { team: 1 } })],
    ["a prefix that is none", terms({ prefix: "" })],
    ["names that are no list", terms({ tune: "*" })],
    ["no names", terms({ tune: undefined })],
    ["a name that is no text", terms({ tune: [1] })],
    ["an empty name", terms({ tune: [""] })],
    ["a long name", terms({ tune: ["x".repeat(257)] })],
    ["too many names", terms({ tune: Array.from({ length: 201 }, (_, n) => `r${n}`) })],
    ["replaced names that are no list", terms({ replace: {} })],
    ["no replaced names", terms({ replace: undefined })],
  ];
  for (const [name, bytes] of cases) {
    assert.equal(await publish(bytes), "trust/malformed", name);
    assert.notEqual(rightIn(bytes), "accepted", name);
  }
});

test("the bounds of a delegation's terms are those that are documented", () => {
  const labels = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`l${n}`, "x"]));
  for (const change of [
    { selector: labels },
    { tune: Array.from({ length: 200 }, (_, n) => `r${n}`), replace: ["x".repeat(256)] },
    { level: "cluster" },
    { prefix: undefined, tune: [] },
  ]) {
    assert.equal(codeOf(findDelegation(documentOf(terms(change)), "payments")), "accepted");
  }
});

test("delegations that hand everything out by a hash are not ours, and give nothing", async () => {
  const succinct = { keyids: [team.publicKey.keyId], threshold: 1, bit_length: 8, name_prefix: "layer" };
  const bytes = altered((_, delegations) => {
    delete delegations["roles"];
    delegations["succinct_roles"] = succinct;
  });
  assert.equal(await publish(bytes), "trust/malformed");
  assert.equal(codeOf(findDelegation(documentOf(bytes), "payments")), "trust/not-delegated");
});

test("256 layers can be given away, and not one more", async () => {
  const grants = Array.from({ length: 257 }, (_, n) => grantOf(`t${String(n).padStart(3, "0")}`, [team]));
  const next = (delegate: typeof grants) => codeOf(newTargets(targets, { add: [], delegate, now }));
  assert.equal(next(grants.slice(1)), "accepted");
  assert.equal(next(grants), "trust/too-large");
});

test("two layers that could come in each other's way are not given away together", () => {
  const next = (cards: Parameters<typeof grantOf>[2]) =>
    codeOf(newTargets(given, { add: [], delegate: [grantOf("cards", [other], cards)], now }));
  assert.equal(next({}), "accepted");
  assert.equal(next({ selector: { region: "eu" } }), "trust/malformed", "one cluster may have both");
  assert.equal(next({ selector: { region: "eu" }, level: "project" }), "accepted", "the later wins");
  assert.equal(next({ selector: { region: "eu", team: "cards" } }), "accepted", "no cluster has both");
  assert.equal(next({ selector: { region: "eu", team: "payments" } }), "trust/malformed");
  assert.equal(next({ prefix: "payments-cards" }), "trust/malformed");
  assert.equal(next({ prefix: "pay" }), "trust/malformed");
  const { prefix: _prefix, ...nothingNew } = grantOf("cards", [other]);
  assert.equal(codeOf(newTargets(given, { add: [], delegate: [nothingNew], now })), "accepted");
  assert.equal(codeOf(newTargets(targets, { add: [], delegate: [nothingNew, payments], now })), "accepted");
  const narrow = { ...payments, selector: { team: "payments", region: "eu" } };
  const both = [narrow, grantOf("cards", [other], { selector: { team: "cards", region: "eu" } })];
  assert.equal(
    codeOf(newTargets(targets, { add: [], delegate: both, now })),
    "accepted",
    "no cluster has both",
  );
});
