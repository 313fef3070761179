/** What the agent takes from an answer of a server that is wrong, stolen or behind: nothing that does not verify. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { SyncResponseSchema } from "#proto/agent/v1/agent";
import {
  auditDigest,
  auditLink,
  createCa,
  generateKey,
  newRoot,
  readRoot,
  rootSpecOf,
  signAssignment,
  signAuditHead,
  signCaBundle,
  signMetadata,
  spkiPin,
} from "#trust";
import type { Assignment, Signer, TargetRef } from "#trust";
import { must } from "../server/testing.ts";
import { openAuditHead } from "./audit-head.ts";
import { createConditions } from "./conditions.ts";
import { openCurrent } from "./current.ts";
import { enroll } from "./identity/enroll.ts";
import { caFloor } from "./identity/identity.ts";
import { takeResponse } from "./take-response.ts";
import { log, newHome, rules, startAgentFleet } from "./testing.ts";
import type { AgentFleet } from "./testing.ts";
import { openTrustStore } from "./trust-store.ts";

/** The list of CAs that the agent holds. */
interface Held {
  readonly version: number;
  readonly pins: readonly string[];
  readonly assigners: readonly string[];
}

/** An enrolled agent without a pipeline, that is told whatever a test makes up. */
async function listener(t: TestContext, fleet: AgentFleet) {
  const home = newHome(t, await fleet.joinString());
  const identity = await enroll(home.config, log, new AbortController().signal);
  const current = openCurrent(home.paths.current);
  const trust = openTrustStore(home.paths.trusted, identity);
  const conditions = createConditions(() => undefined);
  const auditHead = openAuditHead(home.paths.auditHead, identity.org);
  const enclosed: string[] = [];
  let cas: Held = { version: 0, pins: [], assigners: [] };
  const take = (response: MessageInitShape<typeof SyncResponseSchema>) =>
    takeResponse(create(SyncResponseSchema, response), {
      current,
      trust,
      auditHead,
      bundles: { enclose: (bundles) => void enclosed.push(...bundles.map(({ digest }) => digest)) },
      conditions,
      log,
      caVersion: () => caFloor({ caVersion: cas.version, caAssigners: cas.assigners }, trust.assigners()),
      setCas: (version, ders) => (cas = { version, pins: ders.map(spkiPin), assigners: trust.assigners() }),
    });
  const why = (code: string) => conditions.list().find((c) => c.code === code)?.message ?? "";
  return { home, identity, current, trust, auditHead, conditions, take, why, enclosed, cas: () => cas };
}

/** The metadata that the server holds now, as it would send it. */
async function metadataOf(fleet: AgentFleet) {
  const { rows } = await fleet.at.db.$client.query<{ role: string; version: string; body: Buffer }>(
    "select distinct on (role) role, version, body from trust_metadata order by role, version desc",
  );
  return rows.map(({ role, version, body }) => ({
    role,
    version: BigInt(version),
    body: Uint8Array.from(body),
  }));
}

async function assignmentOf(
  fleet: AgentFleet,
  clusterId: string,
  change: Partial<Assignment> = {},
  signer: Signer = fleet.at.state.keyring.signersFor(undefined).assignment,
) {
  const second = Math.floor(Date.now() / 1_000) * 1_000;
  const target = fleet.bundles[0]?.target as TargetRef;
  const { payloadType, payload, signatures } = await signAssignment(
    {
      org: "default",
      clusterId,
      generation: 5,
      targets: [target],
      notBefore: new Date(second - 60_000),
      expires: new Date(second + 60_000),
      ...change,
    },
    signer,
  );
  return {
    payloadType,
    payload: Uint8Array.from(payload),
    signatures: signatures.map(({ keyId, signature }) => ({ keyId, signature: Uint8Array.from(signature) })),
  };
}

test("an assignment that is for another cluster, older or expired is refused by name, and the one before holds", async (t) => {
  const fleet = await startAgentFleet(t);
  const { identity, current, take, why, conditions, enclosed, home } = await listener(t, fleet);
  const { clusterId } = identity;
  take({ metadata: await metadataOf(fleet), assignment: await assignmentOf(fleet, clusterId) });
  assert.deepEqual([current.get().assignment?.generation, conditions.list()], [5, []]);
  const named = fleet.bundles[0]?.digest ?? "";
  const bundles = [named, named, "sha256:other"].map((digest) => ({ digest, gzip: new Uint8Array(1) }));
  const second = Math.floor(Date.now() / 1_000) * 1_000;
  const wrong: readonly (readonly [string, string, Partial<Assignment>])[] = [
    ["trust/wrong-cluster", "cl_somebody", { generation: 6 }],
    ["trust/wrong-org", clusterId, { generation: 6, org: "other" }],
    ["trust/stale-generation", clusterId, { generation: 4 }],
    ["trust/expired", clusterId, { generation: 6, expires: new Date(second - 1_000) }],
  ];
  for (const [code, cluster, change] of wrong) {
    take({ assignment: await assignmentOf(fleet, cluster, change), bundles });
    assert.ok(why("assignment/refused").startsWith(code), why("assignment/refused"));
    assert.equal(current.get().assignment?.generation, 5);
  }
  assert.deepEqual(enclosed, [], "of what is refused, nothing is kept");
  take({ assignment: await assignmentOf(fleet, clusterId, { generation: 6 }), bundles });
  assert.deepEqual(conditions.list(), []);
  assert.deepEqual(enclosed, [named], "and nothing of what it does not name, and nothing twice");
  const again = openTrustStore(home.paths.trusted, identity);
  const late = again.accept(await envelopeOf(fleet, clusterId), new Date());
  assert.equal(!late.ok && late.refusal.code, "trust/stale-generation", "the floor survives a restart");
});

test("a root with another assignment key takes back what a thief of the former one said of the newest generation", async (t) => {
  const fleet = await startAgentFleet(t);
  const { identity, current, trust, take, why } = await listener(t, fleet);
  const { clusterId } = identity;
  const generation = Number.MAX_SAFE_INTEGER;
  const forged = await assignmentOf(fleet, clusterId, { generation });
  take({ metadata: await metadataOf(fleet), assignment: forged });
  assert.deepEqual([current.get().assignment?.generation, trust.generationFloor()], [generation, generation]);
  const next = generateKey();
  const taken = take({ metadata: [await reassigned(fleet, next)] });
  assert.equal(taken.generationChanged, true, "the server has to hear that it may assign again");
  assert.equal(current.get().assignment?.generation, 0);
  assert.deepEqual(current.get().assignment?.targets.length, 1, "what was assigned goes on running");
  take({ assignment: forged });
  assert.match(why("assignment/refused"), /^trust\/unknown-key/);
  const again = take({ assignment: await assignmentOf(fleet, clusterId, { generation: 6 }, next) });
  assert.deepEqual([again.generationChanged, current.get().assignment?.generation], [true, 6]);
});

async function envelopeOf(fleet: AgentFleet, clusterId: string) {
  const assignment = await assignmentOf(fleet, clusterId);
  const envelope = create(SyncResponseSchema, { assignment }).assignment;
  assert.ok(envelope);
  return envelope;
}

test("metadata that is older, or whose bytes were changed, is refused, and what was held goes on to count", async (t) => {
  const fleet = await startAgentFleet(t);
  const { trust, take, why, conditions } = await listener(t, fleet);
  const older = await metadataOf(fleet);
  await fleet.release(rules("2.0.0"));
  const newer = await metadataOf(fleet);
  take({ metadata: newer });
  assert.deepEqual([trust.versions().targets, conditions.list()], [2, []]);
  take({ metadata: older });
  assert.match(why("metadata/refused"), /^trust\/rollback/);
  assert.equal(trust.versions().targets, 2);
  const evil = newer.map((each) => ({ ...each, body: Uint8Array.from(each.body) }));
  const timestamp = evil.find(({ role }) => role === "timestamp");
  assert.ok(timestamp);
  const text = Buffer.from(timestamp.body)
    .toString()
    .replace(/"version":\d+/, '"version":99');
  take({ metadata: [{ ...timestamp, body: Uint8Array.from(Buffer.from(text)) }] });
  assert.match(why("metadata/refused"), /^trust\//);
  const target = rules("2.0.0").target;
  assert.equal(trust.checkTarget(target).ok, true);
  const unlisted = trust.checkTarget(rules("6.6.6").target);
  assert.equal(!unlisted.ok && unlisted.refusal.code, "trust/not-listed");
});

test("an answer that cannot be stored ends nothing: it is a condition until the disk takes it", async (t) => {
  const fleet = await startAgentFleet(t);
  const { home, current, take, why, conditions } = await listener(t, fleet);
  const dir = dirname(home.paths.trusted);
  renameSync(dir, `${dir}.away`);
  take({ metadata: await metadataOf(fleet), labels: { labels: { region: "us" } } });
  assert.match(why("state/not-stored"), /cannot be stored/);
  assert.equal(current.get().labels["region"], "eu");
  mkdirSync(dir, { recursive: true });
  rmSync(dir, { recursive: true });
  renameSync(`${dir}.away`, dir);
  assert.deepEqual(take({ metadata: await metadataOf(fleet), labels: { labels: { region: "us" } } }), {
    generationChanged: false,
    labelsChanged: true,
    assigned: undefined,
  });
  assert.deepEqual(conditions.list(), []);
  assert.ok(readFileSync(home.paths.trusted, "utf8").includes("timestamp"));
});

test("labels out of bounds are refused whole, and a clock that is off is told once", async (t) => {
  const fleet = await startAgentFleet(t);
  const { current, take, why, conditions } = await listener(t, fleet);
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, "v"]));
  for (const labels of [many, { team: "x".repeat(257) }]) {
    assert.deepEqual(take({ labels: { labels } }), {
      labelsChanged: false,
      generationChanged: false,
      assigned: undefined,
    });
    assert.match(why("labels/refused"), /at most 64/);
  }
  assert.equal(current.get().labels["region"], "eu");
  const seconds = BigInt(Math.floor(Date.now() / 1_000) - 7_200);
  take({ serverTime: { seconds }, labels: { labels: { region: "eu" } } });
  assert.match(why("clock/skew"), /120 min ahead/);
  take({ serverTime: { seconds: seconds + 7_200n } });
  assert.deepEqual(conditions.list(), []);
});

/** A list of two CAs, as the server would send it. */
async function caListOf(version: number, by: Signer) {
  const [one, two] = await Promise.all([1, 2].map(() => createCa({ org: "default", now: new Date() })));
  assert.ok(one && two);
  const expires = new Date(Math.floor(Date.now() / 1_000) * 1_000 + 60_000);
  const cas = [one.certificate, two.certificate];
  const { payloadType, payload, signatures } = await signCaBundle(
    { org: "default", version, cas, expires },
    by,
  );
  const wire = signatures.map(({ keyId, signature }) => ({ keyId, signature: Uint8Array.from(signature) }));
  return {
    pins: cas.map(spkiPin),
    caBundle: { payloadType, payload: Uint8Array.from(payload), signatures: wire },
  };
}

/** A root with another assignment key. */
async function reassigned(fleet: AgentFleet, next: Signer) {
  const held = await metadataOf(fleet);
  const root = must(readRoot(held.find(({ role }) => role === "root")?.body ?? Buffer.of()));
  const spec = rootSpecOf(root, new Date());
  const unsigned = must(newRoot({ ...spec, keys: { ...spec.keys, assignment: [next.publicKey] } }));
  const body = Uint8Array.from(must(await signMetadata(unsigned, [fleet.offline.root])));
  return { role: "root", version: 2n, body };
}

test("a list of CAs is taken from the assignment role alone, and never an older one again", async (t) => {
  const fleet = await startAgentFleet(t);
  const { take, why, cas } = await listener(t, fleet);
  const { assignment } = fleet.at.state.keyring.signersFor(undefined);
  take(await caListOf(1, generateKey()));
  assert.match(why("ca-bundle/refused"), /^trust\/unknown-key/);
  assert.equal(cas().version, 0);
  const { pins, caBundle } = await caListOf(3, assignment);
  take({ caBundle });
  assert.equal(why("ca-bundle/refused"), "");
  assert.deepEqual([cas().version, cas().pins], [3, pins]);
  take(await caListOf(2, assignment));
  assert.match(why("ca-bundle/refused"), /^trust\/stale-generation/);
  assert.equal(cas().version, 3);
});

test("a root with another assignment key takes back the version that a thief of the former one gave its CAs", async (t) => {
  const fleet = await startAgentFleet(t);
  const { take, why, cas } = await listener(t, fleet);
  const forged = await caListOf(
    Number.MAX_SAFE_INTEGER,
    fleet.at.state.keyring.signersFor(undefined).assignment,
  );
  take(forged);
  assert.deepEqual(cas().pins, forged.pins);
  const next = generateKey();
  take({ metadata: [await reassigned(fleet, next)] });
  take(forged);
  assert.match(why("ca-bundle/refused"), /^trust\/unknown-key/);
  const { pins, caBundle } = await caListOf(1, next);
  take({ caBundle });
  assert.deepEqual([cas().version, cas().pins, why("ca-bundle/refused")], [1, pins, ""]);
});

/** A log of these words, as an update that leads from its first row to the last. */
async function auditOf(signer: Signer, words: readonly string[], time: number = 0) {
  const links = words.map((word) => auditDigest(word));
  const hash = links.reduce((before, digest) => auditLink(before, digest), new Uint8Array(32));
  const at = new Date(1_767_225_600_000 + time * 1_000);
  const head = { org: "default", sequence: words.length, hash: Buffer.from(hash).toString("hex"), time: at };
  const { payloadType, payload, signatures } = await signAuditHead(head, signer);
  const wire = signatures.map(({ keyId, signature }) => ({ keyId, signature: Uint8Array.from(signature) }));
  return {
    audit: {
      head: { payloadType, payload: Uint8Array.from(payload), signatures: wire },
      links: links.map((link) => Uint8Array.from(link)),
    },
  };
}

test("the head of the audit log only moves on; a log that was rewritten or set back is a condition, and the old head stays", async (t) => {
  const fleet = await startAgentFleet(t);
  const { home, identity, auditHead, conditions, take, why } = await listener(t, fleet);
  const { timestamp } = fleet.at.state.keyring.signersFor(undefined);
  const holds = () => auditHead.get()?.head.sequence;
  take(await auditOf(timestamp, ["a", "b"]));
  take(await auditOf(timestamp, ["a", "b", "c", "d"]));
  assert.deepEqual([holds(), conditions.list()], [4, []]);
  take(await auditOf(timestamp, ["a", "b"]));
  assert.match(why("audit/rewritten"), /went back.*this agent holds row 4/);
  take(await auditOf(timestamp, ["a", "b", "c", "D"]));
  assert.match(why("audit/rewritten"), /was rewritten/);
  take(await auditOf(timestamp, ["a", "b", "C", "d", "e", "f"]));
  assert.match(why("audit/rewritten"), /was rewritten/);
  take(await auditOf(generateKey(), ["a", "b", "c", "d", "e"]));
  assert.match(why("audit/refused"), /^trust\/unknown-key/);
  assert.equal(holds(), 4, "what was seen stays as evidence");
  const again = openAuditHead(home.paths.auditHead, identity.org);
  assert.equal(again.get()?.head.sequence, 4, "also over a restart");
  assert.equal(openAuditHead(home.paths.auditHead, "another").get(), undefined);
  take(await auditOf(timestamp, ["a", "b", "c", "d", "e"]));
  assert.deepEqual([holds(), conditions.list()], [5, []], "the log that was known is welcome again");
  take(await auditOf(timestamp, ["a", "b", "c", "d", "e"], 60));
  assert.equal(auditHead.get()?.head.time.getTime(), 1_767_225_660_000, "nothing happened, and it is newer");
});
