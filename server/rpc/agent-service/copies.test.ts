/** Identities that were copied, put back or recorded: seen by people, and refused where it is certain. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { certificateToPem, createCsr, generatePrivateKey } from "#trust";

import {
  newSimSession,
  newSimState,
  startSimAgent,
  type SimIdentity,
} from "../../../test/support/sim-agent.ts";
import { openLink } from "../../../test/support/sim-link.ts";
import { listFleetStates } from "../../store/fleet-states.ts";
import { agents } from "../../store/schema.ts";
import { copyState, startTestServer } from "../../testing.ts";
import { startTestFleet, until, type TestFleet } from "./fixture.ts";

async function conditions(fleet: TestFleet): Promise<readonly string[]> {
  const { cluster } = await (await fleet.at.client(ClusterService)).getCluster({ cluster: "eu-1" });
  return cluster?.agents[0]?.conditions.map(({ code }) => code) ?? [];
}

/** Begins a session as a process of the agent, and says what the server says to that. */
async function begin(t: TestContext, identity: SimIdentity, id: string, starts: bigint): Promise<string> {
  const agent = startSimAgent({ ...identity, instance: { id, starts } });
  t.after(() => agent.kill());
  return agent.connected.then(
    () => "admitted",
    (error: unknown) => Code[ConnectError.from(error).code] ?? "",
  );
}

test("restarts are no news, a copy beside the agent is refused, two that take turns are told", async (t) => {
  const fleet = await startTestFleet(t, 0);
  const identity = await fleet.enrol("eu-1");
  assert.equal(await begin(t, identity, "first", 1n), "admitted");
  assert.equal(await begin(t, identity, "restarted", 2n), "admitted");
  assert.equal(await begin(t, identity, "restarted", 2n), "admitted", "it connects again");
  assert.deepEqual(await conditions(fleet), []);
  // The disk was copied when it had counted 1, and the copy is started: 2 was seen already.
  assert.equal(await begin(t, identity, "copy", 2n), "FailedPrecondition");
  assert.deepEqual(await conditions(fleet), ["identity/copied"]);
  // A copy of the newest state looks like a restart, until the one before it comes back.
  assert.equal(await begin(t, identity, "other", 3n), "admitted");
  assert.deepEqual(await conditions(fleet), ["identity/copied"]);
  assert.equal(await begin(t, identity, "restarted", 2n), "admitted");
  assert.deepEqual(await conditions(fleet), ["identity/copied", "identity/two-processes"]);
  // A new identity has no past.
  await fleet.enrol("eu-1");
  assert.deepEqual(await conditions(fleet), []);
});

test("an agent whose sessions begin again and again is shown and told until it is steady", async (t) => {
  const fleet = await startTestFleet(t, 0);
  const identity = await fleet.enrol("eu-1");
  for (let starts = 1n; starts <= 5n; starts += 1n) await begin(t, identity, `process-${starts}`, starts);
  assert.deepEqual(await conditions(fleet), []);
  assert.equal(await begin(t, identity, "process-6", 6n), "admitted", "it speaks still");
  assert.deepEqual(await conditions(fleet), ["session/flapping"]);
  const { cluster } = await (await fleet.at.client(ClusterService)).getCluster({ cluster: "eu-1" });
  assert.match(
    cluster?.healthReason ?? "",
    /^agent "node-1" reports session\/flapping: .* 5 of them by another process/,
  );
  const told = async (ms: number) => {
    const { found: states } = await listFleetStates(fleet.at.db, new Date(Date.now() + ms));
    return states.filter(({ facts }) => facts.rule === "Agent flapping").map(({ subject }) => subject);
  };
  assert.deepEqual(await told(0), ["node-1 session/flapping"]);
  assert.deepEqual(await told(11 * 60_000), [], "it is over by itself");
});

test("a disk that was put back while the agent is gone is admitted, and people see it", async (t) => {
  const fleet = await startTestFleet(t, 0);
  const identity = await fleet.enrol("eu-1");
  const agent = startSimAgent({ ...identity, instance: { id: "first", starts: 7n } });
  await agent.connected;
  await agent.stop();
  assert.equal(await begin(t, identity, "put-back", 5n), "admitted");
  assert.deepEqual(await conditions(fleet), ["identity/went-back"]);
});

test("a copy that is refused cannot push the agent out by renewing its certificate", async (t) => {
  const fleet = await startTestFleet(t, 0, { env: { FALCONRY_AGENT_CERTIFICATE_TTL: "24h" } });
  const identity = await fleet.enrol("eu-1");
  assert.equal(await begin(t, identity, "agent", 2n), "admitted");
  const serial = async () => (await fleet.at.db.select().from(agents))[0]?.certificateSerial;
  const before = await serial();
  assert.ok(before);
  const beside = await startTestServer(t, {
    beside: fleet.at,
    env: { FALCONRY_AGENT_CERTIFICATE_TTL: "48h" },
  });
  const key = generatePrivateKey();
  const csr = Uint8Array.from(await createCsr(key));
  const renewed = await beside.bare(EnrollmentService, identity).renewCertificate({ csr });
  const cert = renewed.certificateChain.map(certificateToPem).join("\n");
  assert.equal(await begin(t, { ...identity, cert, key }, "copy", 2n), "FailedPrecondition");
  assert.equal(await serial(), before);
});

test("a report that was recorded at one server proves nothing at another, nor does one of a session that is over, and its goodbye ends no other", async (t) => {
  const fleet = await startTestFleet(t, 0);
  const beside = await startTestServer(t, { beside: fleet.at, stateDir: copyState(t, fleet.at) });
  const identity = await fleet.enrol("eu-1");
  const state = newSimState(identity);
  state.running.set("rules", { sha256: "a".repeat(64), sinceMs: 1_000 });
  const old = openLink("long-poll", identity);
  t.after(() => old.close());
  const session = newSimSession(identity, "long-poll", state);
  const recorded = session.message();
  await old.say(recorded);

  const elsewhere = openLink("long-poll", { ...identity, baseUrl: beside.baseUrl });
  t.after(() => elsewhere.close());
  const present = newSimState(identity);
  present.running.set("rules", { sha256: "b".repeat(64), sinceMs: 2_000 });
  const newer = newSimSession(identity, "long-poll", present);
  await elsewhere.say(newer.message());
  const running = async () => {
    const { cluster } = await (await fleet.at.client(ClusterService)).getCluster({ cluster: "eu-1" });
    return cluster?.agents[0]?.running[0]?.bundle?.digest;
  };
  const proved = `sha256:${"b".repeat(64)}`;
  assert.equal(await running(), proved);
  // The old session speaks on, at both servers, and the thief sends what was recorded under the new session.
  for (const link of [old, elsewhere]) {
    assert.equal((await link.say(session.message({}, true))).needHello, true);
    session.sequence -= 1n;
  }
  // Its goodbye comes late, with a hello as agents of before said it.
  assert.ok(recorded.hello);
  for (const more of [{}, { hello: { ...recorded.hello, instanceId: "ended" } }]) {
    assert.equal((await old.say(session.message({ ...more, goodbye: true }))).needHello, true);
    const [row] = await fleet.at.db.select().from(agents);
    assert.deepEqual(
      [row?.sessionId, row?.leftAt, row?.disconnectedAt, row?.suspicions],
      [newer.sessionId, null, null, []],
    );
  }
  const { report, reportSignature } = recorded;
  const replayed = { ...newer.message(), report, reportSignature };
  await assert.rejects(
    elsewhere.say(replayed),
    (error) => ConnectError.from(error).code === Code.InvalidArgument,
  );
  assert.equal(await running(), proved);
});

test("an agent that is revoked is let go on every server, its calls are refused, and only a newer token lets it back in", async (t) => {
  const fleet = await startTestFleet(t, 0);
  const { at } = fleet;
  const beside = await startTestServer(t, { beside: at, stateDir: copyState(t, at) });
  const wish = { region: "eu" };
  const [stolen, sibling] = [
    await fleet.enrol("eu-1", { ...wish, agent: "node-1" }),
    await fleet.enrol("eu-1", { ...wish, agent: "node-2" }),
  ];
  const thief = startSimAgent({ ...stolen, baseUrl: beside.baseUrl });
  const other = startSimAgent({ ...sibling, baseUrl: beside.baseUrl }, { transport: "long-poll" });
  for (const each of [thief, other]) {
    t.after(() => each.kill());
    await each.connected;
  }
  const clusters = await at.client(ClusterService);
  await assert.rejects(
    clusters.revokeAgent({ cluster: "eu-1", agent: "node-9" }),
    /No such agent of cluster eu-1/,
  );
  const startedAt = performance.now();
  const revoked = await clusters.revokeAgent({ cluster: "eu-1", agent: "node-1" });
  assert.equal(revoked.agentId, stolen.agentId);
  const ended = ConnectError.from(await thief.ended);
  t.diagnostic(`the stream on the other server ended after ${Math.round(performance.now() - startedAt)} ms`);
  assert.deepEqual([ended.code, /revoked/.test(ended.rawMessage)], [Code.PermissionDenied, true]);
  const csr = Uint8Array.from(await createCsr(stolen.key));
  for (const server of [at, beside]) {
    await assert.rejects(
      server.bare(EnrollmentService, stolen).renewCertificate({ csr }),
      (error) => ConnectError.from(error).code === Code.PermissionDenied,
    );
  }
  assert.equal(await begin(t, stolen, "thief", 9n), "PermissionDenied");
  const back = await fleet.enrol("eu-1", { ...wish, agent: "node-1" });
  assert.equal(back.agentId, stolen.agentId);
  await until("it is back at the other server", async () => {
    const admitted = await begin(t, { ...back, baseUrl: beside.baseUrl }, "back", 1n);
    return admitted === "admitted";
  });

  await clusters.retireCluster({ cluster: "eu-1" });
  assert.equal(ConnectError.from(await other.ended).code, Code.PermissionDenied);
});
