/** The CA is replaced under two real servers with state directories of their own, and no agent is lost. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { CaService } from "#proto/fleet/v1/ca";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { TokenService } from "#proto/fleet/v1/token";
import { certificateToPem, createCsr, generatePrivateKey, parseJoinString, spkiPin } from "#trust";

import {
  newSimState,
  startSimAgent,
  type SimAgent,
  type SimIdentity,
  type SimState,
} from "../../test/support/sim-agent.ts";
import { copyState, enrollAgent, must, startTestServer, type TestServer } from "../testing.ts";
import { startTestFleet, until } from "./agent-service/fixture.ts";

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("it was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

/** The CA that a server's disk holds. */
const onDisk = (at: TestServer) =>
  spkiPin(new X509Certificate(readFileSync(join(at.config.stateDir, "ca", "ca.crt"))).raw);

/** An agent that comes back with what it knows. */
function life(t: TestContext, identity: SimIdentity) {
  const state: SimState = newSimState(identity);
  let agent: SimAgent | undefined;
  let own = identity;
  t.after(() => agent?.kill());
  return {
    state,
    identity: () => own,
    pins: () => state.cas.map((pem) => spkiPin(new X509Certificate(pem).raw)),
    /** Connects, perhaps to another server, and with another certificate. */
    connect: async (at: TestServer, change: { cert?: string; key?: string } = {}) => {
      await agent?.kill();
      own = { ...own, ...change, baseUrl: at.baseUrl, ca: state.cas.join("\n") };
      agent = startSimAgent(own, { state, heartbeatMs: 500 });
      await agent.connected;
      return agent;
    },
  };
}

async function renewed(at: TestServer, { cert, key }: SimIdentity) {
  const next = generatePrivateKey();
  const csr = Uint8Array.from(await createCsr(next));
  const { certificateChain } = await at.bare(EnrollmentService, { cert, key }).renewCertificate({ csr });
  return { cert: certificateChain.map(certificateToPem).join("\n"), key: next };
}

test("the CA is replaced in three steps: each waits for every agent, and servers follow that were away", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const { at } = fleet;
  const beside = await startTestServer(t, { beside: at, stateDir: copyState(t, at) });
  const asleep = copyState(t, at);
  const first = at.server.caPin;
  const lives = [life(t, await fleet.enrol("eu-1")), life(t, await fleet.enrol("eu-2"))] as const;
  const [one, two] = lives;
  await one.connect(at);
  await two.connect(beside);
  const ca = await at.client(CaService);
  assert.match(await refusal(ca.switchCa({})), /^FailedPrecondition: No rotation of the CA is under way/);

  const begun = (await (await beside.client(CaService)).rotateCa({})).ca;
  assert.equal(begun?.rotation?.phase, "spreading");
  const [, next] = begun.authorities;
  assert.ok(next && !next.isPresented);
  assert.match(await refusal(ca.rotateCa({})), /^FailedPrecondition: A rotation of the CA is under way/);
  const gate = async () => (await ca.getCa({})).gate;
  await until("both agents prove that they trust both", async () => (await gate())?.trusting === 2);
  assert.deepEqual(one.pins(), [first, next.pin]);

  // One that enrolled and never came: it is named, and nothing is switched.
  const third = await fleet.enrol("eu-3");
  assert.match(
    await refusal(ca.switchCa({})),
    /^FailedPrecondition: 2 of 3 agents are ready.*: eu-3\/node-1\./,
  );
  assert.match(
    await refusal(ca.finishCa({})),
    /^FailedPrecondition: Servers present certificates of the old CA/,
  );
  const { joinString } = await (await at.client(TokenService)).createJoinToken({ labels: { region: "eu" } });
  assert.deepEqual(must(parseJoinString(joinString)).caPins, [first, next.pin]);
  const switched = (await ca.switchCa({ leaveBehind: ["eu-3"] })).ca;
  assert.deepEqual(switched?.rotation?.leftBehind, ["eu-3/node-1"]);
  assert.equal((await ca.switchCa({})).ca?.rotation?.phase, "switched", "said again it is done");
  assert.match(await refusal(ca.cancelCa({})), /cannot be taken back/);
  for (const server of [at, beside]) server.trust(next.certificate);

  // Each renews at one server and comes in at the other, which presents the new CA by then.
  await one.connect(beside, await renewed(at, one.identity()));
  assert.match(
    await refusal(ca.finishCa({})),
    /^FailedPrecondition: 1 of 3 agents are ready.*eu-2\/node-1, eu-3\/node-1/,
  );
  const before = two.identity();
  await two.connect(at, await renewed(beside, before));
  await until("both use certificates of the new CA", async () => (await gate())?.certified === 2);
  await ca.finishCa({ leaveBehind: ["eu-3/node-1"] });
  await until("agents forget the old CA", () => lives.every((each) => each.pins().join() === next.pin));
  await until("both servers keep the new one", () => [at, beside].every((each) => onDisk(each) === next.pin));
  for (const server of [at, beside]) {
    assert.match(await refusal(renewed(server, before)), /^Unauthenticated: .*(CA|issuer|certificate)/i);
    assert.match(await refusal(renewed(server, third)), /^Unauthenticated/);
  }

  // A server that slept through all of it follows from the CA that it has.
  const late = await startTestServer(t, { beside: at, stateDir: asleep });
  assert.equal(late.server.caPin, next.pin);
  assert.equal(onDisk(late), next.pin);
  late.trust(next.certificate);
  await enrollAgent(late, joinString, { clusterName: "eu-4", clusterUid: "uid-of-eu-4" });
  const { clusters } = await (await late.client(ClusterService)).listClusters({});
  assert.deepEqual(
    clusters.map(({ name }) => name),
    ["eu-1", "eu-2", "eu-3", "eu-4"],
  );
});

test("a rotation that is cancelled leaves everything as it was, and the next one ends who was left behind", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const { at } = fleet;
  const agent = life(t, await fleet.enrol("eu-1"));
  const live = await agent.connect(at);
  const ca = await at.client(CaService);
  await ca.rotateCa({});
  await until("it trusts both", () => agent.pins().length === 2);
  await ca.cancelCa({});
  await until("it trusts the first alone", () => agent.pins().join() === at.server.caPin);
  const again = (await ca.rotateCa({})).ca;
  assert.equal(again?.rotation?.number, 2);
  await until(
    "it trusts both again",
    () => agent.pins().join() === again.authorities.map(({ pin }) => pin).join(),
  );

  // Left behind on purpose: its stream, which began with the old CA, ends with it.
  const proves = async () => (await ca.getCa({})).gate?.trusting === 1;
  await until("it proves it", proves);
  await ca.switchCa({});
  await ca.finishCa({ leaveBehind: ["eu-1"] });
  const ended = ConnectError.from(await live.ended);
  assert.deepEqual(
    [Code[ended.code], /does not trust any more/.test(ended.rawMessage)],
    ["Unauthenticated", true],
  );
});
