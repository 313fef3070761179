import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { TrustService } from "#proto/fleet/v1/trust";
import {
  checkSignatures,
  generateKey,
  newRoot,
  parseMetadata,
  publicKeyFromHex,
  readRoot,
  rootSpecOf,
  signMetadata,
  type RootSpec,
} from "#trust";

import { keepMetadata } from "../reconcile/metadata.ts";
import { trustMetadata } from "../store/schema.ts";
import { startSimAgent } from "../../test/support/sim-agent.ts";
import { startTestFleet, until } from "./agent-service/fixture.ts";
import { must, publishRoot, push, rulesBundle, startTestServer } from "../testing.ts";

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

const dayMs = 86_400_000;

/** What is signed here is not looked up in the audit log. */
const noNote = () => Promise.resolve();

test("the next root is taken when old and new keys signed it, and nothing else is", async (t) => {
  const at = await startTestServer(t);
  const trust = await at.client(TrustService);
  assert.match(await refusal(trust.getMetadata({ role: "root" })), /^NotFound/);
  assert.match(
    await refusal(trust.getMetadata({ role: "boss" })),
    /^InvalidArgument: role: "boss" is none of/,
  );
  const offline = await publishRoot(at);
  const view = must(readRoot(offline.bytes));
  const successor = generateKey();
  const spec: RootSpec = {
    ...rootSpecOf(view, new Date()),
    keys: { ...rootSpecOf(view, new Date()).keys, root: [successor.publicKey] },
  };
  const unsigned = must(newRoot(spec));
  const half = must(await signMetadata(unsigned, [successor]));
  const whole = must(await signMetadata(half, [offline.root]));
  const publish = (root: Uint8Array) => trust.publishRoot({ root: Uint8Array.from(root) });
  assert.match(
    await refusal(publish(half)),
    /^FailedPrecondition: root 2 carries 0 of the 1 valid signatures/,
  );
  assert.match(await refusal(publish(Buffer.from("{"))), /^InvalidArgument: root: /);
  const strange = must(newRoot({ ...spec, keys: { ...spec.keys, timestamp: [generateKey().publicKey] } }));
  assert.match(
    await refusal(publish(must(await signMetadata(strange, [successor, offline.root])))),
    /^FailedPrecondition: .*this server's key/,
  );
  assert.equal((await publish(whole)).root?.version, 2n);
  assert.equal((await publish(whole)).root?.version, 2n, "the same again changes nothing");
  assert.match(await refusal(publish(offline.bytes)), /^FailedPrecondition: .*does not follow root 2/);
});

test("a root of another organisation is refused", async (t) => {
  const at = await startTestServer(t);
  assert.match(
    await refusal(publishRoot(at, "elsewhere")),
    /^FailedPrecondition: The root is for the org "elsewhere"/,
  );
});

test("snapshot and timestamp are signed again at half of their life, once, however many servers look", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  await push(at, offline, undefined, [rulesBundle("1.0.0")]);
  const keep = (ms: number) => keepMetadata(at.db, at.state.keyring, () => new Date(Date.now() + ms), noNote);
  assert.deepEqual(await keep(0), []);
  assert.deepEqual(await keep(dayMs / 2 - 60_000), []);
  const both = await Promise.all([
    keep(dayMs / 2 + 60_000),
    keep(dayMs / 2 + 60_000),
    keep(dayMs / 2 + 60_000),
  ]);
  assert.deepEqual(both.flat(), ["timestamp"]);
  assert.deepEqual(await keep(4 * dayMs), ["snapshot", "timestamp"]);
  const rows = await at.db
    .select({ role: trustMetadata.role, version: trustMetadata.version })
    .from(trustMetadata);
  const versions = rows.map((row) => `${row.role} ${row.version}`).sort();
  assert.deepEqual(versions, [
    "root 1",
    "snapshot 1",
    "snapshot 2",
    "targets 1",
    "timestamp 1",
    "timestamp 2",
    "timestamp 3",
  ]);
});

test("a server whose keys the root does not name says so instead of signing what no agent would take", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  await push(at, offline, undefined, [rulesBundle("1.0.0")]);
  const other = { ...at.state.keyring.signersFor(undefined), timestamp: generateKey() };
  await assert.rejects(
    keepMetadata(at.db, { signersFor: () => other }, () => new Date(Date.now() + dayMs), noNote),
    /Root 1 does not name this server's timestamp key/,
  );
});

test("two servers on one database and one state directory are one fleet", async (t) => {
  const at = await startTestServer(t);
  const beside = await startTestServer(t, { beside: at });
  const offline = await publishRoot(at);
  await push(beside, offline, undefined, [rulesBundle("1.0.0")]);
  const [here, there] = await Promise.all(
    [at, beside].map(async (each) => (await each.client(TrustService)).getTrust({})),
  );
  assert.deepEqual(here?.roles, there?.roles);
  assert.deepEqual(here?.onlineKeys, there?.onlineKeys);
  assert.equal(at.server.caPin, beside.server.caPin);
});

test("the server's keys are replaced by a root that names those it prepared, and they sign from then on", async (t) => {
  const at = await startTestServer(t);
  const beside = await startTestServer(t, { beside: at });
  const trust = await at.client(TrustService);
  const offline = await publishRoot(at);
  await push(at, offline, undefined, [rulesBundle("1.0.0")]);
  const { onlineKeys } = await trust.prepareOnlineKeys({});
  assert.deepEqual((await trust.prepareOnlineKeys({})).onlineKeys, onlineKeys, "asked again, the same keys");
  const other = await beside.client(TrustService);
  assert.deepEqual((await other.getTrust({})).waitingKeys, onlineKeys);
  const key = (role: string) =>
    must(publicKeyFromHex(onlineKeys.find((each) => each.role === role)?.publicKey ?? ""));
  const spec = rootSpecOf(must(readRoot(offline.bytes)), new Date());
  const named = (roles: readonly string[]): RootSpec => ({
    ...spec,
    keys: { ...spec.keys, ...Object.fromEntries(roles.map((role) => [role, [key(role)]])) },
  });
  const signed = async (roles: readonly string[]) =>
    Uint8Array.from(must(await signMetadata(must(newRoot(named(roles))), [offline.root])));
  // Half of the keys would leave no server that can sign all of it.
  assert.match(
    await refusal(trust.publishRoot({ root: await signed(["timestamp"]) })),
    /^FailedPrecondition: .*role timestamp must have threshold 1 and this server's key/,
  );
  // Through one server; the other picks them up by what is published.
  await trust.publishRoot({ root: await signed(["snapshot", "timestamp", "assignment"]) });
  const after = await other.getTrust({});
  assert.deepEqual(after.onlineKeys, onlineKeys);
  assert.deepEqual(after.waitingKeys, []);
  const view = must(readRoot((await trust.getMetadata({ role: "root" })).metadata));
  const isSigned = async (role: "snapshot" | "timestamp") => {
    const document = must(parseMetadata(role, (await other.getMetadata({ role })).metadata));
    return { version: document.version, ok: checkSignatures(document, view.roles[role]).ok };
  };
  assert.deepEqual(await isSigned("snapshot"), { version: 2, ok: true });
  assert.deepEqual(await isSigned("timestamp"), { version: 2, ok: true });
  const later = () => new Date(Date.now() + dayMs);
  assert.deepEqual(await keepMetadata(beside.db, beside.state.keyring, later, noNote), ["timestamp"]);
  assert.deepEqual(await isSigned("timestamp"), { version: 3, ok: true });
});

test("only admins have keys prepared, and a state directory that cannot be written is told", async (t) => {
  const at = await startTestServer(t);
  const operator = await at.client(TrustService, "operator");
  assert.match(await refusal(operator.prepareOnlineKeys({})), /^PermissionDenied/);
  const trust = await at.client(TrustService);
  await publishRoot(at);
  // A file in the way, because the superuser that tests may run as can write everywhere.
  writeFileSync(join(at.config.stateDir, "keys-2"), "");
  assert.match(
    await refusal(trust.prepareOnlineKeys({})),
    /^Unavailable: New online keys cannot be written to the state directory/,
  );
});

test("people see how many agents hold which versions", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const trust = await fleet.at.client(TrustService);
  const holders = async () =>
    (await trust.getTrust({})).holders.map((each) => [each.agents, each.rootVersion, each.targetsVersion]);
  const agents = [await fleet.enrol("eu-1"), await fleet.enrol("us-1")];
  assert.deepEqual(await holders(), [[2, 0n, 0n]]);
  const [first] = agents;
  assert.ok(first);
  const sim = startSimAgent(first, { heartbeatMs: 200 });
  t.after(() => sim.stop());
  await until(
    "one of them has taken all of it",
    async () => {
      const [top, rest] = await holders();
      return String(top) === "1,1,1" && String(rest) === "1,0,0";
    },
    30_000,
  );
});
