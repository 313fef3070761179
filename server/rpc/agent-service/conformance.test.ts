/** The protocol, as agents rely on it: every scenario over a real stream and over real long polls. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { eq, sql } from "../../store/drizzle.ts";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";

import {
  bytesOf,
  newSimSession,
  newSimState,
  takeIn,
  type SimIdentity,
  type SimState,
} from "../../../test/support/sim-agent.ts";
import { openLink, type SimTransport } from "../../../test/support/sim-link.ts";
import { agentComponents, agents, assignments, attempts, rates } from "../../store/schema.ts";
import { push, rulesBundle, startTestServer } from "../../testing.ts";
import { startTestFleet, until, type TestFleet } from "./fixture.ts";

interface Scene {
  readonly t: TestContext;
  readonly fleet: TestFleet;
  readonly transport: SimTransport;
  readonly enrol: TestFleet["enrol"];
  /** A cluster of this scenario alone. */
  readonly cluster: string;
}

/** An enrolled agent with a connection and a session, that says nothing by itself. */
async function arrive(
  { t, enrol, transport, cluster }: Scene,
  again?: { identity: SimIdentity; state: SimState },
) {
  const identity = again?.identity ?? (await enrol(cluster));
  const state = again?.state ?? newSimState(identity);
  const link = openLink(transport, identity);
  t.after(() => link.close());
  return { identity, state, link, session: newSimSession(identity, transport, state) };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return Code[ConnectError.from(error).code] ?? "";
  }
  return "accepted";
}

/** Assigns a bundle to a cluster by a rollout, as people do. */
async function assign({ fleet, cluster }: Scene, version: string): Promise<string> {
  const rollouts = await fleet.at.client(RolloutService);
  const unfinished = await rollouts.listRollouts({ unfinished: true });
  for (const { id, generation, waves } of unfinished.rollouts) {
    const isOurs = waves.some((wave) => wave.clusters.some((each) => each.clusterName === cluster));
    if (isOurs) await rollouts.abortRollout({ rolloutId: id, generation });
  }
  const { rollout } = await rollouts.startRollout({
    spec: {
      kind: BundleKind.RULES,
      bundle: `starter@${version}`,
      selector: { requirements: [{ key: "only", operator: Requirement_Operator.IN, values: [cluster] }] },
      deadlineSeconds: 3600,
    },
  });
  return rollout?.id ?? "";
}

async function component(fleet: TestFleet, agentId: string) {
  const [row] = await fleet.at.db.select().from(agentComponents).where(eq(agentComponents.agentId, agentId));
  return row;
}

const scenarios: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  "a session that does not begin with a hello is asked for one": async (scene) => {
    const { link, session } = await arrive(scene);
    session.isHelloDue = false;
    const answer = await link.say(session.message({}, true));
    assert.equal(answer.needHello, true);
  },

  "a hello is answered with the tuning, and with metadata that verifies in the order given": async (
    scene,
  ) => {
    const { identity, state, link, session } = await arrive(scene);
    const answer = await link.say(session.message());
    assert.equal(answer.ackSequence, 1n);
    assert.equal(answer.tuning?.heartbeatMs, 20_000);
    assert.deepEqual(
      answer.metadata.map((each) => each.role),
      ["timestamp", "snapshot", "targets"],
    );
    await takeIn(identity, state, link, answer);
    const next = await link.say(session.message());
    assert.deepEqual(
      [next.metadata.length, next.tuning, next.assignment, next.labels],
      [0, undefined, undefined, undefined],
    );
  },

  "a gap in the sequence stores nothing and asks for a hello, which heals it": async (scene) => {
    const { fleet } = scene;
    const { identity, state, link, session } = await arrive(scene);
    await link.say(session.message());
    session.sequence += 1n;
    state.running.set("rules", { sha256: "a".repeat(64), sinceMs: 1000 });
    assert.equal((await link.say(session.message({}, true))).needHello, true);
    assert.equal((await component(fleet, identity.agentId))?.runningDigest, undefined);
    session.sequence = 0n;
    session.isHelloDue = true;
    assert.equal((await link.say(session.message())).needHello, false);
    assert.equal((await component(fleet, identity.agentId))?.runningDigest, `sha256:${"a".repeat(64)}`);
  },

  "a message that is sent twice is acknowledged twice and stored once": async (scene) => {
    const { fleet } = scene;
    const { identity, state, link, session } = await arrive(scene);
    await link.say(session.message());
    state.attempts.set("rules", attemptAt(7n));
    const message = session.message({}, true);
    assert.equal((await link.say(message)).ackSequence, 2n);
    assert.equal((await link.say(message)).ackSequence, 2n);
    const rows = await fleet.at.db.select().from(attempts).where(eq(attempts.agentId, identity.agentId));
    assert.equal(rows.length, 1);
  },

  "a report that another key signed ends the session and is not stored": async (scene) => {
    const { fleet } = scene;
    const { identity, state, link, session } = await arrive(scene);
    state.running.set("rules", { sha256: "a".repeat(64), sinceMs: 1000 });
    const message = session.message();
    message.reportSignature[10] = (message.reportSignature[10] ?? 0) ^ 1;
    assert.equal(await codeOf(link.say(message)), "Unauthenticated");
    assert.equal(await component(fleet, identity.agentId), undefined);
  },

  "a report that was recorded in another session proves nothing": async (scene) => {
    const { fleet } = scene;
    const first = await arrive(scene);
    first.state.running.set("rules", { sha256: "a".repeat(64), sinceMs: 1000 });
    const { report, reportSignature } = first.session.message();
    const second = await arrive(scene, first);
    const replayed = second.session.message({ report, reportSignature });
    assert.equal(await codeOf(second.link.say(replayed)), "InvalidArgument");
    assert.equal(await component(fleet, first.identity.agentId), undefined);
  },

  "a newer session takes over; the older one is ended and its late report stores nothing": async (scene) => {
    const { fleet, transport } = scene;
    const old = await arrive(scene);
    await takeIn(old.identity, old.state, old.link, await old.link.say(old.session.message()));
    await old.link.say(old.session.message());
    const late = old.link.hear((waitMs) => old.session.message({ waitMs }));
    const ended = codeOf(late);
    // The long poll has to have arrived before it can be taken over.
    await until(
      "the older session waits",
      async () => (await standing(fleet, old.identity)).sequence >= (transport === "stream" ? 1n : 3n),
    );
    const young = await arrive(scene, { identity: old.identity, state: newSimState(old.identity) });
    await young.link.say(young.session.message());
    assert.equal(await ended, "Aborted");
    assert.equal((await standing(fleet, old.identity)).sessionId, young.session.sessionId);
  },

  "an identity that is used by another cluster is refused by name": async (scene) => {
    const { identity, state, link } = await arrive(scene);
    const copy = newSimSession({ ...identity, clusterUid: "uid-of-somebody-else" }, scene.transport, state);
    const refused = await link.say(copy.message()).then(
      () => "",
      (error: unknown) => ConnectError.from(error),
    );
    assert.ok(refused instanceof ConnectError);
    assert.equal(refused.code, Code.FailedPrecondition);
    const words = new RegExp(`belongs to cluster "${scene.cluster}".*uid-of-somebody-else`);
    assert.match(refused.rawMessage, words);
    const { cluster } = await (
      await scene.fleet.at.client(ClusterService)
    ).getCluster({ cluster: scene.cluster });
    assert.match(cluster?.healthReason ?? "", /reports identity\/copied/);
    assert.match(cluster?.agents[0]?.conditions[0]?.message ?? "", words);
  },

  "an assignment reaches a waiting agent by itself, verifies, and is not sent again once it was seen": async (
    scene,
  ) => {
    const { identity, state, link, session } = await arrive(scene);
    await takeIn(identity, state, link, await link.say(session.message()));
    const heard = link.hear((waitMs) => session.message({ waitMs }));
    await assign(scene, "1.0.0");
    const pushed = await heard;
    assert.equal(await takeIn(identity, state, link, pushed), true);
    assert.equal(state.running.get("rules")?.sha256, scene.fleet.bundles[0]?.target.sha256);
    const next = await link.say(session.message({}, true));
    assert.equal(next.assignment, undefined);
    const row = await component(scene.fleet, identity.agentId);
    assert.deepEqual([row?.provedGeneration, row?.runningDigest], [1n, scene.fleet.bundles[0]?.digest]);
  },

  "an assignment that was not seen is offered again with every answer": async (scene) => {
    const { link, session } = await arrive(scene);
    await link.say(session.message());
    await assign(scene, "1.0.0");
    await until("it is offered", async () => (await link.say(session.message())).assignment !== undefined);
    assert.notEqual((await link.say(session.message())).assignment, undefined);
  },

  "an agent that was away through several generations gets the newest and none in between": async (scene) => {
    const { fleet } = scene;
    const { identity, state, link, session } = await arrive(scene);
    for (const version of ["1.0.0", "1.1.0", "1.0.0"]) {
      const rolloutId = await assign(scene, version);
      await until(
        "it is assigned",
        async () => (await assignmentOf(fleet, identity))?.rulesRolloutId === rolloutId,
      );
    }
    const seen: string[] = [];
    await takeIn(identity, state, link, await link.say(session.message()), ({ path }) => {
      seen.push(path);
      return "apply";
    });
    assert.deepEqual(seen, ["rules/starter/1.0.0.json"]);
    assert.equal(state.observedGeneration, await generation(fleet, identity));
  },

  "a bundle that an agent rejects is kept with its reason, beside what goes on running": async (scene) => {
    const { fleet } = scene;
    const { identity, state, link, session } = await arrive(scene);
    state.running.set("rules", { sha256: "a".repeat(64), sinceMs: 1000 });
    await assign(scene, "1.0.0");
    await until("it is assigned", async () => (await generation(fleet, identity)) > 0n);
    await takeIn(identity, state, link, await link.say(session.message()), () => "reject");
    await link.say(session.message({}, true));
    const [row] = await fleet.at.db.select().from(attempts).where(eq(attempts.agentId, identity.agentId));
    assert.deepEqual(
      [row?.phase, row?.reason, row?.digest],
      ["rejected", "engine/load-error", fleet.bundles[0]?.digest],
    );
    assert.equal((await component(fleet, identity.agentId))?.runningDigest, `sha256:${"a".repeat(64)}`);
  },

  "new labels and new metadata reach a waiting agent by themselves": async (scene) => {
    const { fleet, cluster } = scene;
    const { identity, state, link, session } = await arrive(scene);
    await takeIn(identity, state, link, await link.say(session.message()));
    const heard = link.hear((waitMs) => session.message({ waitMs }));
    await (await fleet.at.client(ClusterService)).labelCluster({ cluster, set: { team: "payments" } });
    await takeIn(identity, state, link, await heard);
    assert.equal(state.labels["team"], "payments");
    assert.equal((await link.say(session.message())).labels, undefined);
    const more = link.hear((waitMs) => session.message({ waitMs }));
    fleet.targets = await push(fleet.at, fleet.offline, fleet.targets, [
      rulesBundle(`2.0.${cluster.length}${scene.transport.length}`),
    ]);
    const news = await more;
    assert.deepEqual(
      news.metadata.map((each) => each.role),
      ["timestamp", "snapshot", "targets"],
    );
    await takeIn(identity, state, link, news);
  },

  "a cluster that is retired is told so and let go": async (scene) => {
    const { fleet, cluster } = scene;
    const { identity, state, link, session } = await arrive(scene);
    await takeIn(identity, state, link, await link.say(session.message()));
    const heard = link.hear((waitMs) => session.message({ waitMs }));
    const code = codeOf(heard);
    await (await fleet.at.client(ClusterService)).retireCluster({ cluster });
    assert.equal(await code, "PermissionDenied");
  },

  "what is out of bounds is refused by name": async (scene) => {
    const { link, session } = await arrive(scene);
    const message = session.message({
      report: new Uint8Array(65 * 1024),
      reportSignature: new Uint8Array(64),
    });
    assert.equal(await codeOf(link.say(message)), "InvalidArgument");
    const other = await arrive({ ...scene, cluster: `${scene.cluster}-b` });
    assert.equal(await codeOf(other.link.say(other.session.message({ sessionId: "x" }))), "InvalidArgument");
  },

  "minutes are stored when they are acknowledged, and a late copy takes nothing back": async (scene) => {
    const { fleet } = scene;
    const { identity, link, session } = await arrive(scene);
    const minute = { seconds: BigInt(Math.floor(Date.now() / 60_000) * 60) };
    await link.say(session.message({ rates: [{ minute, events: 50n, seconds: 30 }] }));
    await link.say(session.message({ rates: [{ minute, events: 90n, seconds: 60 }] }));
    await link.say(session.message({ rates: [{ minute, events: 50n, seconds: 30 }] }));
    const rows = await fleet.at.db.select().from(rates).where(eq(rates.agentId, identity.agentId));
    assert.deepEqual(
      rows.map((row) => row.events),
      [90n],
    );
  },

  "a change whose notification is lost reaches a waiting agent by the poll behind it": async (scene) => {
    const { identity, state, link, session } = await arrive(scene);
    await takeIn(identity, state, link, await link.say(session.message()));
    const heard = link.hear((waitMs) => session.message({ waitMs }));
    // As the server writes it, but for the notification.
    await scene.fleet.at.db.execute(sql`update clusters set changed = nextval('change_seq'),
      labels = labels || '{"team":"unheard"}'::jsonb where id = ${identity.clusterId}`);
    await takeIn(identity, state, link, await heard);
    assert.equal(state.labels["team"], "unheard");
  },

  "an agent of a newer build is spoken with as both can, and what is new about it is left out": async (
    scene,
  ) => {
    const { identity, state, link, session } = await arrive(scene);
    state.running.set("rules", { sha256: "a".repeat(64), sinceMs: 1000 });
    state.attempts.set("rules", { ...attemptAt(1n), phase: "quarantined" });
    const message = session.message();
    assert.ok(message.hello);
    message.hello.protocolMax = 7;
    message.hello.capabilities.push("of-next-year");
    message.hello.$unknown = [{ no: 900, wireType: 2, data: Uint8Array.of(1, 65) }];
    assert.equal((await link.say(message)).ackSequence, 1n);
    const { db } = scene.fleet.at;
    assert.equal((await component(scene.fleet, identity.agentId))?.runningDigest, `sha256:${"a".repeat(64)}`);
    assert.deepEqual(await db.select().from(attempts).where(eq(attempts.agentId, identity.agentId)), []);
    const beyond = newSimSession(identity, scene.transport, state).message();
    assert.ok(beyond.hello);
    beyond.hello.protocolMin = 2;
    assert.equal(await codeOf(link.say(beyond)), "FailedPrecondition");
  },

  "a certificate in the second half of its life is to be renewed": async (scene) => {
    const { identity, state } = await arrive(scene);
    // A certificate of 24 hours looks old to a server that issues them for 72.
    const beside = await startTestServer(scene.t, {
      beside: scene.fleet.at,
      env: { FALCONRY_AGENT_CERTIFICATE_TTL: "72h" },
    });
    const there = { ...identity, baseUrl: beside.baseUrl };
    const other = await arrive(scene, { identity: there, state });
    assert.equal((await other.link.say(other.session.message())).renewCertificate, true);
    const here = await arrive(scene, { identity, state });
    assert.equal((await here.link.say(here.session.message())).renewCertificate, false);
  },

  "an agent that says goodbye has left until it begins again": async (scene) => {
    const { fleet } = scene;
    const { identity, state, link, session } = await arrive(scene);
    await link.say(session.message());
    // A poll that was cut short has not come.
    session.sequence += 1n;
    await link.say(session.message({ goodbye: true }));
    const row = await standing(fleet, identity);
    assert.deepEqual([row.transport, row.disconnectedAt !== null], [null, true]);
    assert.ok(row.leftAt !== null && row.lastSeenAt !== null && row.lastSeenAt >= row.leftAt);
    const again = await arrive(scene, { identity, state });
    await again.link.say(again.session.message());
    assert.equal((await standing(fleet, identity)).leftAt, null);
  },
};

function attemptAt(generation: bigint) {
  const at = { $typeName: "google.protobuf.Timestamp", seconds: 1_700_000_000n, nanos: 0 } as const;
  return { digest: bytesOf("b".repeat(64)), generation, phase: "applied", at };
}

async function assignmentOf(fleet: TestFleet, { clusterId }: SimIdentity) {
  const [row] = await fleet.at.db.select().from(assignments).where(eq(assignments.clusterId, clusterId));
  return row;
}

async function generation(fleet: TestFleet, identity: SimIdentity): Promise<bigint> {
  return (await assignmentOf(fleet, identity))?.generation ?? 0n;
}

async function standing(fleet: TestFleet, { agentId }: SimIdentity) {
  const [row] = await fleet.at.db.select().from(agents).where(eq(agents.id, agentId));
  assert.ok(row);
  return { ...row, sequence: row.sessionSequence };
}

for (const transport of ["stream", "long-poll"] as const) {
  test(`over ${transport}`, { timeout: 120_000 }, async (t) => {
    const fleet = await startTestFleet(t);
    let n = 0;
    for (const [name, run] of Object.entries(scenarios)) {
      n += 1;
      const cluster = `eu-${n}`;
      const enrol: TestFleet["enrol"] = (name, wish) =>
        fleet.enrol(name, { ...wish, labels: { only: cluster } });
      await t.test(name, (t) => run({ t, fleet, enrol, transport, cluster }));
    }
  });
}
