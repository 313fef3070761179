/** An agent with a valid certificate that lies: it can lie about its own cluster, and about nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { SyncResponse } from "#proto/agent/v1/agent";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { AlertService } from "#proto/fleet/v1/alert";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutClusterState, RolloutService } from "#proto/fleet/v1/rollout";
import { createCsr, generatePrivateKey, readAgentCertificate } from "#trust";
import { startTestFleet, until } from "../../server/rpc/agent-service/fixture.ts";
import type { TestFleet } from "../../server/rpc/agent-service/fixture.ts";
import { bytesOf, newSimSession, newSimState, startSimAgent } from "../support/sim-agent.ts";
import { openLink } from "../support/sim-link.ts";
import { alert, lies } from "./evil-agent-lies.ts";
import type { Scene } from "./evil-agent-lies.ts";

async function answerOf(promise: Promise<unknown>): Promise<string> {
  try {
    const answer = (await promise) as Partial<SyncResponse> | undefined;
    return answer?.needHello === true ? "need-hello" : "accepted";
  } catch (error) {
    return Code[ConnectError.from(error).code] ?? "";
  }
}

/** Everything that the store holds of the other cluster. */
async function pictureOf({ fleet, victim }: Scene): Promise<unknown> {
  const { rows } = await fleet.at.db.$client.query(
    `select g.session_epoch, g.observed_generation, g.cluster_id, g.revoked_at,
       (select json_agg(p order by p.kind) from agent_components p where p.agent_id = g.id) as components,
       (select count(*) from alerts a where a.cluster_id = g.cluster_id) as alerts,
       (select count(*) from attempts t where t.agent_id = g.id) as attempts
     from agents g where g.id = $1`,
    [victim.agentId],
  );
  return rows;
}

async function begin(t: TestContext): Promise<Scene> {
  const fleet = await startTestFleet(t, 3);
  const [liar, victim] = [await fleet.enrol("eu-1"), await fleet.enrol("us-1")];
  const link = openLink("long-poll", liar);
  t.after(() => link.close());
  const session = () => newSimSession(liar, "long-poll", newSimState(liar));
  return { fleet, liar, victim, link, session };
}

async function start(fleet: TestFleet, version: string, region: string): Promise<string> {
  const rollouts = await fleet.at.client(RolloutService);
  const selector = { requirements: [{ key: "region", operator: Requirement_Operator.IN, values: [region] }] };
  const spec = { kind: BundleKind.RULES, bundle: `starter@${version}`, selector, deadlineSeconds: 3_600 };
  return (await rollouts.startRollout({ spec })).rollout?.id ?? "";
}

test(
  "whatever an agent says, only its own cluster is affected, and the server goes on",
  { timeout: 120_000 },
  async (t) => {
    const scene = await begin(t);
    const { fleet, victim, link, liar } = scene;
    const honest = startSimAgent(victim, { transport: "long-poll" });
    t.after(() => honest.stop());
    await start(fleet, "1.1.0", "us");
    await until("the other cluster proved", () => honest.state.running.has("rules"), 30_000);
    const other = openLink("long-poll", victim);
    t.after(() => other.close());
    await other.client.deliverAlerts({ alerts: [{ ...alert("c"), output: "said by the victim" }] });
    const before = await until(
      "all of it is stored",
      async () => {
        const picture = JSON.stringify(await pictureOf(scene));
        return picture.includes("running_digest") && picture.includes(fleet.bundles[1]?.target.sha256 ?? "?")
          ? picture
          : undefined;
      },
      30_000,
    );

    for (const [name, [answer, lie]] of Object.entries(lies)) {
      await t.test(`${answer}: ${name}`, async () => {
        assert.equal(await answerOf(lie(scene)), answer);
        assert.equal(JSON.stringify(await pictureOf(scene)), before, "the other cluster is as it was");
      });
    }
    await t.test("a flood of the same alerts is stored once", async () => {
      const alerts = Array.from({ length: 500 }, (_, i) => alert(`f${i.toString(16).padStart(4, "0")}`));
      await Promise.all(Array.from({ length: 10 }, () => answerOf(link.client.deliverAlerts({ alerts }))));
      const { rows } = await fleet.at.db.$client.query(
        "select count(*)::int as n from alerts where id like 'f0%'",
      );
      assert.equal(rows[0].n, 500);
    });
    await t.test("an alert under the id of another cluster's does not change that one", async () => {
      await link.client.deliverAlerts({ alerts: [alert("c")] });
      const { alerts } = await (await fleet.at.client(AlertService)).listAlerts({ pageSize: 1_000 });
      const said = alerts.filter(({ clusterName }) => clusterName === "us-1").map(({ output }) => output);
      assert.deepEqual(said, ["said by the victim"]);
    });
    await t.test("a renewal gives the caller's own identity, whatever the request asks for", async () => {
      const client = createClient(
        EnrollmentService,
        createConnectTransport({
          baseUrl: fleet.at.baseUrl,
          httpVersion: "1.1",
          nodeOptions: { ca: fleet.at.ca, cert: liar.cert, key: liar.key },
        }),
      );
      const csr = Uint8Array.from(await createCsr(generatePrivateKey()));
      const { certificateChain } = await client.renewCertificate({ csr });
      const read = readAgentCertificate(certificateChain[0] ?? new Uint8Array());
      assert.deepEqual(read.ok && read.value.identity, {
        org: "default",
        clusterId: liar.clusterId,
        agentId: liar.agentId,
      });
    });
  },
);

test(
  "an agent that says it applied a bundle, and proves another or none, passes no wave",
  { timeout: 60_000 },
  async (t) => {
    const scene = await begin(t);
    const { fleet, liar, link } = scene;
    const [old, next] = fleet.bundles;
    assert.ok(old && next);
    const id = await start(fleet, "1.1.0", "eu");
    const rollouts = await fleet.at.client(RolloutService);
    const stateOf = async () =>
      (await rollouts.getRollout({ rolloutId: id })).rollout?.waves[0]?.clusters[0]?.state;
    await until("it is assigned", async () => (await stateOf()) === RolloutClusterState.ASSIGNED);
    const state = newSimState(liar);
    state.observedGeneration = 1n;
    state.attempts.set("rules", {
      digest: bytesOf(next.target.sha256),
      generation: 1n,
      phase: "applied",
      reason: "",
      at: { seconds: BigInt(Math.floor(Date.now() / 1_000)) },
    });
    const session = newSimSession(liar, "long-poll", state);
    await link.say(session.message({}, true));
    state.running.set("rules", { sha256: old.target.sha256, sinceMs: Date.now() });
    await link.say(session.message({}, true));
    // A proof does count, so that the wait below is long enough for a lie to have counted.
    assert.equal(await stateOf(), RolloutClusterState.ASSIGNED);
    state.running.set("rules", { sha256: next.target.sha256, sinceMs: Date.now() });
    await link.say(session.message({}, true));
    await until("the proof counts", async () => (await stateOf()) === RolloutClusterState.PROVED, 20_000);
  },
);
