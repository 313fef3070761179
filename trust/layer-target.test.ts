import assert from "node:assert/strict";
import { test } from "node:test";

import {
  checkLayerTarget,
  checkTarget,
  decodeTrusted,
  encodeTrusted,
  layerListBytesMax,
  layersHeldMax,
  newLayerList,
  newSnapshot,
  newTargets,
  newTimestamp,
  signMetadata,
  standingDelegation,
  updateTrusted,
  type LayerGrant,
  type Trusted,
} from "#trust";

import {
  codeOf,
  grantOf,
  joined,
  makeBundle,
  makeLayer,
  makeLayerList,
  makeOnline,
  makeRoot,
  newKeys,
  valueOf,
} from "./fixture.ts";
import { generateKey } from "./keys.ts";
import { encodeMetadata, parseMetadata } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys();
const root = await makeRoot(keys, now);
const bundle = makeBundle();
const [team, cards, thief] = [generateKey(), generateKey(), generateKey()];
const release = makeLayer();
const labels = { team: "payments", region: "eu" };
const delegate = [grantOf("payments", [team]), grantOf("cards", [cards])];

async function targetsWith(
  grants: readonly LayerGrant[],
  previous?: Uint8Array,
  revoke: readonly string[] = [],
) {
  const add = previous === undefined ? [bundle] : [];
  const unsigned = valueOf(newTargets(previous, { add, delegate: grants, revoke, now }));
  return valueOf(await signMetadata(unsigned, keys.targets));
}

type Lists = ReadonlyMap<string, Uint8Array>;
const only = (list: Uint8Array): Lists => new Map([["payments", list]]);

/** What a server sends when it publishes all this. */
async function published(targets: Uint8Array, layers: Lists, version: number) {
  return { targets, layers, ...(await makeOnline(keys, now, targets, version, layers)) };
}

const targets = await targetsWith(delegate);
const list = await makeLayerList([team], now, [release]);
const first = await published(targets, only(list), 1);
const { layers: _lists, ...withoutLists } = first;
const begun = joined(root, withoutLists, now);
const trusted = valueOf(updateTrusted(begun, first, now));
const startable = (held: Trusted, change: object = {}, at = now, by: Record<string, string> = labels) =>
  codeOf(checkLayerTarget(held, { ...release.target, ...change }, by, at));

test("a release of a layer may start on the team's clusters: the team's key alone signed it", () => {
  assert.equal(startable(trusted), "accepted");
  const { layer, prefix } = valueOf(checkLayerTarget(trusted, release.target, labels, now));
  assert.deepEqual([layer, prefix], ["payments", "payments"]);
});

test("a release starts nowhere else, whatever it or a server says", () => {
  for (const others of [{}, { team: "cards" }, { region: "eu" }]) {
    assert.equal(startable(trusted, {}, now, others), "trust/beyond-delegation");
    assert.equal(codeOf(standingDelegation(trusted, "payments", others)), "trust/beyond-delegation");
  }
});

test("a release starts only with the very bytes that its list names", () => {
  assert.equal(startable(trusted, { path: "layer/payments/9.9.9.json" }), "trust/not-listed");
  assert.equal(
    startable(trusted, { path: "layer/cards/1.0.0.json" }, now, { team: "cards" }),
    "trust/incomplete",
  );
  assert.equal(startable(trusted, { path: "layer/loans/1.0.0.json" }), "trust/not-delegated");
  assert.equal(startable(trusted, { path: bundle.target.path }), "trust/not-listed");
  assert.equal(startable(trusted, { sha256: "0".repeat(64) }), "trust/hash-mismatch");
  assert.equal(startable(trusted, { length: 1 }), "trust/length-mismatch");
});

test("a layer's key releases no bundle: targets alone name those", () => {
  assert.equal(codeOf(checkTarget(trusted, bundle.target, now)), "accepted");
  const target = { ...release.target, kind: "rules" as const };
  assert.equal(codeOf(checkTarget(trusted, target, now)), "trust/not-listed");
});

test("when a team's list is over its releases start no more, and nobody else is touched", async () => {
  const life = 3_600_000;
  const unsigned = valueOf(
    newLayerList(undefined, { layer: "payments", add: [release], now, lifetimeMs: life }),
  );
  const short = valueOf(await signMetadata(unsigned, [team]));
  const update = await published(targets, only(short), 2);
  const late = new Date(now.getTime() + life);
  const result = updateTrusted(trusted, update, late);
  assert.ok(result.ok, "a team that sleeps is no alarm for the whole fleet");
  assert.equal(startable(result.value, {}, late), "trust/expired");
  assert.equal(startable(result.value, {}, new Date(late.getTime() - 1)), "accepted");
  assert.equal(codeOf(checkTarget(result.value, bundle.target, late)), "accepted");
  assert.equal(codeOf(standingDelegation(result.value, "payments", labels)), "accepted", "what runs goes on");
});

test("a release starts only while the chain above it is complete and fresh", () => {
  assert.equal(startable(trusted, {}, new Date("2030-01-02T00:00:00Z")), "trust/expired");
  const { layers: _layers, ...without } = trusted;
  assert.equal(startable(without), "trust/incomplete");
  const damaged = { ...trusted, root: "{}" };
  assert.equal(startable(damaged), "trust/malformed");
  assert.equal(codeOf(standingDelegation(damaged, "payments", labels)), "trust/malformed");
  const { targets: _targets, ...rootless } = trusted;
  assert.equal(startable(rootless), "trust/incomplete");
});

test("a list that the snapshot does not pin, or pins otherwise, is not taken", async () => {
  const next = await makeLayerList([team], now, [makeLayer("payments", "1.1.0")], list);
  const refused = async (layers: Lists, pinned: Lists) => {
    const update = { targets, layers, ...(await makeOnline(keys, now, targets, 2, pinned)) };
    const result = updateTrusted(begun, update, now);
    return result.ok ? "accepted" : result.refusal.code;
  };
  assert.equal(await refused(only(next), only(next)), "accepted");
  assert.equal(
    await refused(only(Buffer.from("{")), only(list)),
    "trust/length-mismatch",
    "before it is parsed",
  );
  const hash = await refused(
    only(await makeLayerList([team], new Date(now.getTime() + 1000), [release])),
    only(list),
  );
  assert.equal(hash, "trust/hash-mismatch");
  assert.equal(await refused(only(next), only(list)), "trust/length-mismatch");
  // The list of another layer under this one's name.
  const foreign = await makeLayerList([cards], now, [makeLayer("cards")]);
  assert.equal(await refused(only(foreign), only(foreign)), "trust/beyond-delegation");
});

test("a pin without length and hash, as other repositories have them, still names one version", async () => {
  const loose = async (version: number) => {
    const document = valueOf(parseMetadata("snapshot", first.snapshot));
    const meta = { ...(document.signed["meta"] as object), "layer-payments.json": { version } };
    const snapshot = valueOf(
      await signMetadata(encodeMetadata({ ...document.signed, version: 2, meta }), keys.snapshot),
    );
    const timestamp = valueOf(
      await signMetadata(valueOf(newTimestamp(snapshot, { version: 2, now })), keys.timestamp),
    );
    return updateTrusted(begun, { snapshot, timestamp, layers: only(list) }, now);
  };
  assert.equal(codeOf(await loose(1)), "accepted");
  assert.equal(codeOf(await loose(2)), "trust/version-mismatch");
});

test("a list that the snapshot does not name is none", async () => {
  const update = { ...(await published(targets, new Map(), 1)), layers: only(list) };
  const result = updateTrusted({ root: trusted.root, generationFloor: 0 }, update, now);
  assert.equal(codeOf(result), "trust/incomplete");
  assert.equal(result.value.layers, undefined);
  assert.equal(startable({ ...result.value, layers: trusted.layers! }), "trust/incomplete");
});

test("an older list never comes back: its version has a floor, on disk, and also after the layer was taken away", async () => {
  const next = await makeLayerList([team], now, [makeLayer("payments", "1.1.0")], list);
  const second = valueOf(updateTrusted(trusted, await published(targets, only(next), 2), now));
  const kept = valueOf(decodeTrusted(encodeTrusted(second)));
  assert.deepEqual(kept, second);
  const back = updateTrusted(kept, await published(targets, only(list), 3), now);
  assert.equal(codeOf(back), "trust/rollback");
  assert.equal(startable(back.value, makeLayer("payments", "1.1.0").target), "trust/incomplete");
  // Revoked, and given again: the snapshot goes on naming the version.
  const revoked = await targetsWith([], targets, ["payments"]);
  const third = valueOf(
    updateTrusted(
      kept,
      await published(revoked, only(next), 3).then(({ layers: _layers, ...rest }) => rest),
      now,
    ),
  );
  assert.equal(third.layers, undefined);
  const again = await targetsWith(delegate, revoked);
  assert.equal(codeOf(updateTrusted(third, await published(again, only(list), 4), now)), "trust/rollback");
  assert.equal(
    codeOf(updateTrusted(third, await published(again, new Map(), 4), now)),
    "trust/rollback",
    "not even by leaving it out",
  );
  assert.equal(codeOf(updateTrusted(third, await published(again, only(next), 4), now)), "accepted");
});

test("a layer that is taken back neither starts nor goes on", async () => {
  const revoked = await targetsWith([], targets, ["payments"]);
  const { layers: _layers, ...update } = await published(revoked, only(list), 2);
  const after = valueOf(updateTrusted(trusted, update, now));
  assert.equal(startable(after), "trust/not-delegated");
  assert.equal(codeOf(standingDelegation(after, "payments", labels)), "trust/not-delegated");
  assert.equal(
    codeOf(updateTrusted(after, { layers: only(list) }, now)),
    "trust/not-delegated",
    "the list says nothing any more",
  );
});

test("a new key for a layer voids what the old one signed; what runs goes on until the team releases again", async () => {
  const regranted = await targetsWith([grantOf("payments", [thief])], targets);
  const { layers: _layers, ...update } = await published(regranted, only(list), 2);
  const after = valueOf(updateTrusted(trusted, update, now));
  assert.equal(startable(after), "trust/unknown-key");
  assert.equal(codeOf(standingDelegation(after, "payments", labels)), "accepted");
});

test("a key that is not the layer's signs nothing, and what was held is kept", async () => {
  const forged = await makeLayerList([thief], now, [makeLayer("payments", "6.6.6")], list);
  const result = updateTrusted(trusted, await published(targets, only(forged), 2), now);
  assert.equal(codeOf(result), "trust/unknown-key");
  assert.deepEqual(result.value.layers, trusted.layers);
  assert.equal(codeOf(checkTarget(result.value, bundle.target, now)), "accepted");
  assert.notEqual(startable(result.value, makeLayer("payments", "6.6.6").target), "accepted");
});

test("a broken list of one team keeps no other list, bundle or later metadata away", async () => {
  const own = await makeLayerList([cards], now, [makeLayer("cards")]);
  const forged = await makeLayerList([thief], now, [makeLayer("payments", "6.6.6")], list);
  const both: Lists = new Map([
    ["payments", forged],
    ["cards", own],
  ]);
  const result = updateTrusted(trusted, await published(targets, both, 2), now);
  assert.equal(codeOf(result), "trust/unknown-key");
  const card = makeLayer("cards").target;
  assert.equal(codeOf(checkLayerTarget(result.value, card, { team: "cards" }, now)), "accepted");
});

test("after the targets keys are replaced nobody has taken a layer back, and nothing new starts", async () => {
  const fresh = newKeys();
  const next = await makeRoot({ ...keys, targets: fresh.targets }, now, { version: 2 });
  const after = updateTrusted(trusted, { roots: [next] }, now);
  assert.equal(codeOf(after), "trust/incomplete");
  assert.deepEqual(after.value.layers, trusted.layers);
  assert.equal(valueOf(standingDelegation(after.value, "payments", labels)), undefined);
  assert.equal(startable(after.value), "trust/incomplete");
});

test("what is known already is no change, so nothing is written for it", () => {
  assert.equal(valueOf(updateTrusted(trusted, { layers: only(list) }, now)), trusted);
  assert.equal(valueOf(updateTrusted(begun, {}, now)), begun);
});

test("an agent keeps the lists of 16 layers, those first that it is offered", async () => {
  const names = Array.from({ length: layersHeldMax + 1 }, (_, n) => `t${String(n).padStart(2, "0")}`);
  const wide = await targetsWith(
    names.map((name) => grantOf(name, [team])),
    targets,
  );
  const lists = new Map<string, Uint8Array>();
  for (const name of names) lists.set(name, await makeLayerList([team], now, [makeLayer(name)]));
  lists.set("payments", list);
  const online = await makeOnline(keys, now, wide, 2, lists);
  const offer = (offered: readonly string[]) => ({
    targets: wide,
    ...online,
    layers: new Map(offered.map((name) => [name, lists.get(name)!])),
  });
  const all = updateTrusted(trusted, offer(names), now);
  assert.equal(codeOf(all), "trust/too-large");
  assert.deepEqual(all.value.layers, trusted.layers);
  const many = valueOf(updateTrusted(trusted, offer(names.slice(1)), now));
  assert.deepEqual(Object.keys(many.layers ?? {}).sort(), names.slice(1));
  const last = valueOf(updateTrusted(many, offer(["t00"]), now));
  assert.equal(Object.keys(last.layers ?? {}).length, layersHeldMax);
  assert.ok(last.layers?.["t00"] !== undefined);
  assert.deepEqual(valueOf(decodeTrusted(encodeTrusted(last))), last);
});

test("lists in a trust state that was altered on disk are refused", () => {
  const state = JSON.parse(encodeTrusted(trusted)) as object;
  const decode = (layers: unknown) => codeOf(decodeTrusted(JSON.stringify({ ...state, layers })));
  const text = Buffer.from(list).toString();
  assert.equal(decode({ payments: text }), "accepted");
  for (const odd of [null, [], text, { payments: 1 }, { payments: "{}" }, { cards: text }]) {
    assert.equal(decode(odd), "trust/malformed", JSON.stringify(odd)?.slice(0, 40));
  }
});

test("the largest lists that are accepted fit into the state that keeps them", () => {
  const text = Buffer.from(list).toString();
  const largest = text + "\n".repeat(layerListBytesMax - text.length);
  const full = { ...trusted, layers: { payments: largest } };
  assert.deepEqual(valueOf(decodeTrusted(encodeTrusted(full))), full);
});

test("a snapshot over lists names each by its role, and refuses what is no list", () => {
  const bytes = valueOf(newSnapshot(targets, { version: 1, now }, only(list)));
  const { meta } = valueOf(parseMetadata("snapshot", bytes)).model;
  assert.deepEqual(Object.keys(meta), ["layer-payments.json", "targets.json"]);
  assert.equal(codeOf(newSnapshot(targets, { version: 1, now }, only(Buffer.from("{")))), "trust/malformed");
});

test("a state on disk with more lists than are ever held is refused, although each of them is one", async () => {
  const names = Array.from({ length: layersHeldMax + 1 }, (_, n) => `t${n}`);
  const lists = await Promise.all(
    names.map(async (name): Promise<[string, string]> => {
      const signed = await makeLayerList([team], now, [makeLayer(name)]);
      return [name, Buffer.from(signed).toString()];
    }),
  );
  const state = JSON.parse(encodeTrusted(begun)) as object;
  const read = (held: readonly [string, string][]) =>
    codeOf(decodeTrusted(JSON.stringify({ ...state, layers: Object.fromEntries(held) })));
  assert.equal(read(lists.slice(1)), "accepted");
  assert.equal(read(lists), "trust/malformed");
});
