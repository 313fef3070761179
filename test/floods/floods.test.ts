import assert from "node:assert/strict";
import { connect as connectTls } from "node:tls";
import { test, type TestContext } from "node:test";

import { ClusterService } from "#proto/fleet/v1/cluster";

import { freshDatabaseUrl } from "../support/postgres.ts";
import { startSimAgent } from "../support/sim-agent.ts";
import { addressOf, attack, attackerAddress, attacks, type Attack } from "./attackers.ts";
import { frame, frameTypes, preface } from "./frames.ts";
import { adminOf, enrolMany, enrolOne } from "./good-agents.ts";
import { startServerProcess, type ServerProcess } from "./server-process.ts";

/** Short deadlines, so that the slow attacks end within the test: a handshake 2 s, a newcomer 3 s, a stalled answer 6 s. */
const env = {
  FALCONRY_REQUEST_TIMEOUT: "12s",
  FALCONRY_NEWCOMERS: "60",
  FALCONRY_NEWCOMERS_PER_ADDRESS: "40",
};
const cutWithinMs = 60_000;

async function serverProcess(t: TestContext): Promise<ServerProcess> {
  const server = await startServerProcess(await freshDatabaseUrl(t), env);
  t.after(() => server.stop());
  return server;
}

test(
  "under every flood good agents and people are served, attackers are cut and counted, and memory stays bounded",
  { timeout: 240_000 },
  async (t) => {
    const server = await serverProcess(t);
    const admin = await adminOf(server);
    const identities = await enrolMany(server, admin, 4);
    const agents = identities.map((identity, i) =>
      startSimAgent(identity, { transport: i % 2 === 0 ? "stream" : "long-poll", heartbeatMs: 500 }),
    );
    t.after(() => Promise.all(agents.map((agent) => agent.stop())));
    await Promise.all(agents.map((agent) => agent.connected));
    const clusters = await admin.client(ClusterService);
    const [residentBefore, loggedBefore] = [server.residentMiB(), server.loggedBytes()];

    const isSlow = ({ again, everyMs }: Attack) => again === undefined || everyMs !== undefined;
    const slow = attacks.filter(isSlow).map((what) => play(server, what, addressOf(attacks.indexOf(what))));
    for (const what of attacks.filter((each) => !isSlow(each))) {
      await t.test(what.name, async () => {
        const before = await server.refused();
        await play(server, what, addressOf(attacks.indexOf(what)));
        const after = await server.refused();
        const grown = Object.keys(after).filter((reason) => (after[reason] ?? 0) > (before[reason] ?? 0));
        const isCounted = what.counted.some((reason) => grown.includes(reason));
        assert.ok(isCounted, `counted were only ${grown.join(", ")}`);
        assert.equal((await clusters.listClusters({})).clusters.length, identities.length);
      });
    }
    await Promise.all(slow);
    const counted = await server.refused();
    for (const { name, counted: reasons } of attacks.filter(isSlow)) {
      assert.ok(
        reasons.some((reason) => (counted[reason] ?? 0) > 0),
        `${name}: counted were only ${Object.keys(counted).join(", ")}`,
      );
    }
    await t.test("a crowd of connections that prove nothing", async () => {
      const crowd = Array.from({ length: 120 }, () => attack(server, silence));
      await Promise.any(crowd.map((each) => each.cut));
      // Somebody new gets in although the crowd is there, and the crowd has no more places than its address may have.
      const late = await enrolOne(server, admin, "late");
      assert.equal((await clusters.listClusters({})).clusters.length, identities.length + 1);
      assert.ok(late.agentId.startsWith("ag_"), late.agentId);
      assert.ok(((await server.refused())["newcomer-made-room"] ?? 0) >= 80);
      for (const each of crowd) each.stop();
    });
    const ended = await Promise.race([...agents.map((agent) => agent.ended), Promise.resolve("all live")]);
    assert.equal(ended, "all live");
    assert.ok(server.isAlive());
    t.diagnostic(
      `resident ${residentBefore.toFixed(0)} MiB before, ${server.residentMiB().toFixed(0)} after`,
    );
    assert.ok(server.residentMiB() - residentBefore < 200, "the floods left memory behind");
    // Hundreds of thousands of frames and calls were refused: a line for each would be tens of megabytes.
    assert.ok(server.loggedBytes() - loggedBefore < 200_000, `logged ${server.loggedBytes()} bytes`);
  },
);

test("who attacks again as soon as it is cut is soon let in no more, but not where somebody proved is behind the same address", async (t) => {
  const server = await serverProcess(t);
  const again = attacks.find(({ name }) => name === "a head larger than any");
  assert.ok(again !== undefined);
  const attackFrom = async (address: string, meanwhile: () => Promise<unknown> = () => server.refused()) => {
    const { "http1-headers": before = 0 } = await server.refused();
    for (let i = 0; i < 50; i += 1) {
      await play(server, again, address);
      await meanwhile();
    }
    const { "http1-headers": after = 0 } = await server.refused();
    return after - before;
  };
  // A thousand openings on credit: the attacks cost 100, 200, 400 and 800 of them.
  const alone = await attackFrom(attackerAddress);
  assert.ok(alone >= 3 && alone <= 6, `${alone} attacks were let in`);
  assert.ok(((await server.refused())["opened-too-fast"] ?? 0) >= 40);

  const shared = await adminOf(server, addressOf(1));
  const clusters = await shared.client(ClusterService);
  await clusters.listClusters({});
  const beside = await attackFrom(addressOf(1), () => clusters.listClusters({}));
  assert.ok(beside >= 9, `${beside} attacks were let in`);
  assert.equal((await enrolMany(server, await adminOf(server), 1)).length, 1);
});

/** What a client that is ended with Ctrl-C says to the server: GOAWAY with CANCEL (8), after which it waits for the end. */
const interrupted: Attack = {
  name: "a client that is interrupted",
  protocol: "h2",
  first: Buffer.concat([preface, frame(frameTypes.goaway, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 8]))]),
  counted: [],
};

test("a client that is interrupted again and again is let in, because leaving breaks nothing", async (t) => {
  const server = await serverProcess(t);
  for (let i = 0; i < 30; i += 1) await play(server, interrupted, attackerAddress);
  const { "opened-too-fast": refused = 0, "http2-violation": violations = 0 } = await server.refused();
  assert.deepEqual([refused, violations], [0, 0]);
});

const silence: Attack = {
  name: "silence",
  protocol: "tcp",
  first: Buffer.alloc(0),
  counted: ["newcomer-made-room"],
};

/** Resolves when the server has cut the attacker's connection. */
async function play({ port }: ServerProcess, what: Attack, from: string): Promise<void> {
  const attacker = attack({ port, from }, what);
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => late.reject(new Error(`${what.name} was not cut within ${cutWithinMs} ms`)),
    cutWithinMs,
  );
  try {
    await Promise.race([attacker.cut, late.promise]);
  } finally {
    clearTimeout(timer);
    attacker.stop();
  }
}

const path = "/fleet.v1.ClusterService/ListClusters";
const json = "content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

test("a request whose host is missing or none is refused, and does not end the server", async (t) => {
  const server = await serverProcess(t);
  for (const [name, request] of [
    ["no host", `POST ${path} HTTP/1.0\r\n${json}`],
    ["a host that is none", `POST ${path} HTTP/1.1\r\nhost: [[\r\n${json}`],
    ["a port that is none", `POST ${path} HTTP/1.1\r\nhost: x:y\r\n${json}`],
  ] as const) {
    assert.match(await sendRaw(server.port, request), /^HTTP\/1\.1 400 /, name);
    assert.ok(server.isAlive());
  }
});

function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] };
    const socket = connectTls(options, () => socket.write(text));
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    socket.once("error", reject);
    socket.once("close", () => resolve(answer));
  });
}
