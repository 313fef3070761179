import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import { eq } from "../../store/drizzle.ts";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutClusterState, RolloutService, RolloutState, type Rollout } from "#proto/fleet/v1/rollout";
import { OnFailure, type RolloutSpecSchema } from "#proto/fleet/v1/rollout_spec";

import { startSimAgent, type Behaviour, type SimAgent } from "../../../test/support/sim-agent.ts";
import { assignments, rollouts as rolloutTable } from "../../store/schema.ts";
import { startTestServer } from "../../testing.ts";
import { startTestFleet, until, type TestFleet } from "../agent-service/fixture.ts";

type Rollouts = Client<typeof RolloutService>;

type Spec = Exclude<MessageInitShape<typeof RolloutSpecSchema>, { $typeName: string }>;

const rules: Spec = { kind: BundleKind.RULES };
const inRegion = (region: string) => ({
  requirements: [{ key: "region", operator: Requirement_Operator.IN, values: [region] }],
});

/** Agents for clusters that live until the test ends. */
async function live(
  t: TestContext,
  fleet: TestFleet,
  names: readonly string[],
  behave?: Behaviour,
): Promise<SimAgent[]> {
  return Promise.all(
    names.map(async (name) => {
      const agent = startSimAgent(await fleet.enrol(name), behave === undefined ? {} : { behave });
      t.after(() => agent.kill());
      await agent.connected;
      return agent;
    }),
  );
}

async function start(rollouts: Rollouts, spec: Spec): Promise<Rollout> {
  const { rollout } = await rollouts.startRollout({ spec });
  assert.ok(rollout);
  return rollout;
}

/** The last picture that a watch shows: when it ends, nothing happens by itself any more. */
async function watchToEnd(rollouts: Rollouts, rolloutId: string): Promise<Rollout> {
  let last: Rollout | undefined;
  for await (const { rollout } of rollouts.watchRollout({ rolloutId }, { timeoutMs: 20_000 })) last = rollout;
  assert.ok(last);
  return last;
}

const runs = (agent: SimAgent) => agent.state.running.get("rules")?.sha256;
const shaOf = (fleet: TestFleet, i: number) => fleet.bundles[i]?.target.sha256;

function clustersOf(rollout: Rollout): Record<string, number> {
  return Object.fromEntries(
    rollout.waves.flatMap((wave) => wave.clusters.map((c) => [c.clusterName, c.state])),
  );
}

async function refusal(promise: Promise<unknown>): Promise<[string, string]> {
  try {
    await promise;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return [Code[code] ?? "", rawMessage];
  }
  return ["accepted", ""];
}

test("a rollout over a region changes exactly its clusters, wave by wave, and an undo brings them back", async (t) => {
  const fleet = await startTestFleet(t);
  const agents = await live(t, fleet, ["eu-1", "eu-2", "eu-3", "us-1"]);
  const rollouts = await fleet.at.client(RolloutService);
  const first = await watchToEnd(rollouts, (await start(rollouts, { ...rules, bundle: "starter@1.0.0" })).id);
  assert.equal(first.state, RolloutState.SUCCEEDED);
  assert.deepEqual(
    first.waves.map((wave) => wave.name),
    ["canary eu", "eu 2 of 2", "us"],
  );
  assert.deepEqual(
    agents.map(runs),
    Array.from({ length: 4 }, () => shaOf(fleet, 0)),
  );

  const second = await watchToEnd(
    rollouts,
    (await start(rollouts, { ...rules, selector: inRegion("eu") })).id,
  );
  assert.equal(second.bundle?.version, "1.1.0");
  assert.deepEqual(
    agents.map(runs),
    [1, 1, 1, 0].map((i) => shaOf(fleet, i)),
  );

  await rollouts.undoRollout({ rolloutId: second.id, generation: second.generation });
  const undone = await watchToEnd(rollouts, second.id);
  assert.equal(undone.state, RolloutState.ROLLED_BACK);
  assert.match(undone.because, /3 clusters proved what they ran before/);
  assert.deepEqual(
    agents.map(runs),
    Array.from({ length: 4 }, () => shaOf(fleet, 0)),
  );
  const [code] = await refusal(rollouts.undoRollout({ rolloutId: second.id, generation: undone.generation }));
  assert.equal(code, "FailedPrecondition");
});

test("a bundle that a canary rejects reaches no other cluster, and the canary is sent back", async (t) => {
  const fleet = await startTestFleet(t);
  const behave: Behaviour = ({ path }) => (path.includes("1.1.0") ? "reject" : "apply");
  const agents = await live(t, fleet, ["eu-1", "eu-2"], behave);
  const rollouts = await fleet.at.client(RolloutService);
  await watchToEnd(rollouts, (await start(rollouts, { ...rules, bundle: "starter@1.0.0" })).id);
  const stopped = await watchToEnd(rollouts, (await start(rollouts, rules)).id);
  assert.equal(stopped.state, RolloutState.PAUSED);
  assert.match(stopped.because, /eu-1 \(agent "node-1" rejected it: engine\/load-error\)/);
  assert.deepEqual(clustersOf(stopped), {
    "eu-1": RolloutClusterState.FAILED,
    "eu-2": RolloutClusterState.WAITING,
  });
  await until(
    "the canary sees that it was sent back",
    () => (agents[0]?.state.observedGeneration ?? 0n) >= 3n,
  );
  assert.deepEqual(agents.map(runs), [shaOf(fleet, 0), shaOf(fleet, 0)]);
});

test("a rollout with the roll-back policy brings every cluster back when one fails", async (t) => {
  const fleet = await startTestFleet(t);
  const good = await live(t, fleet, ["eu-1"]);
  const bad = await live(t, fleet, ["eu-2"], ({ path }) => (path.includes("1.1.0") ? "reject" : "apply"));
  const rollouts = await fleet.at.client(RolloutService);
  await watchToEnd(rollouts, (await start(rollouts, { ...rules, bundle: "starter@1.0.0" })).id);
  const ended = await watchToEnd(
    rollouts,
    (await start(rollouts, { ...rules, onFailure: OnFailure.ROLL_BACK })).id,
  );
  assert.equal(ended.state, RolloutState.ROLLED_BACK);
  assert.deepEqual(clustersOf(ended), {
    "eu-1": RolloutClusterState.REVERTED,
    "eu-2": RolloutClusterState.FAILED,
  });
  assert.deepEqual([...good, ...bad].map(runs), [shaOf(fleet, 0), shaOf(fleet, 0)]);
});

test("an abort sends back who has not proved, and who has keeps the bundle", async (t) => {
  const fleet = await startTestFleet(t);
  const rollouts = await fleet.at.client(RolloutService);
  const hasty = await live(t, fleet, ["eu-1"]);
  const slow = await live(t, fleet, ["eu-2"], ({ path }) => (path.includes("1.1.0") ? "ignore" : "apply"));
  await watchToEnd(rollouts, (await start(rollouts, { ...rules, bundle: "starter@1.0.0" })).id);
  const { id } = await start(rollouts, rules);
  const running = await until("the second wave waits", async () => {
    const { rollout } = await rollouts.getRollout({ rolloutId: id });
    return rollout?.waves[1]?.clusters[0]?.state === RolloutClusterState.ASSIGNED && rollout;
  });
  const { rollout } = await rollouts.abortRollout({ rolloutId: id, generation: running.generation });
  assert.equal(rollout?.state, RolloutState.ABORTED);
  assert.deepEqual(clustersOf(rollout), {
    "eu-1": RolloutClusterState.PROVED,
    "eu-2": RolloutClusterState.REVERTED,
  });
  await until("the slow one sees it", () => (slow[0]?.state.observedGeneration ?? 0n) === 3n);
  assert.deepEqual([...hasty, ...slow].map(runs), [shaOf(fleet, 1), shaOf(fleet, 0)]);
});

test("a paused rollout begins no wave until it is resumed, and of two who decide at once one wins", async (t) => {
  const fleet = await startTestFleet(t);
  await live(t, fleet, ["eu-1", "eu-2"]);
  const rollouts = await fleet.at.client(RolloutService);
  const { id, generation } = await start(rollouts, { ...rules, soakSeconds: 1 });
  const race = await Promise.all(
    [1, 2].map(() => refusal(rollouts.pauseRollout({ rolloutId: id, generation }))),
  );
  assert.deepEqual(race.map(([code]) => code).toSorted(), ["Aborted", "accepted"]);
  const paused = await watchToEnd(rollouts, id);
  assert.deepEqual(
    [paused.state, clustersOf(paused)["eu-2"]],
    [RolloutState.PAUSED, RolloutClusterState.WAITING],
  );
  await rollouts.resumeRollout({ rolloutId: id, generation: paused.generation });
  assert.equal((await watchToEnd(rollouts, id)).state, RolloutState.SUCCEEDED);
});

test("what is started is exactly the plan that was shown, once per request", async (t) => {
  const fleet = await startTestFleet(t);
  await fleet.enrol("eu-1");
  const rollouts = await fleet.at.client(RolloutService);
  const { plan } = await rollouts.planRollout({ spec: rules });
  assert.deepEqual(
    plan?.waves.map((wave) => wave.clusters.map((each) => each.clusterName)),
    [["eu-1"]],
  );
  assert.deepEqual(plan.silent, ["eu-1"]);
  assert.equal((await fleet.at.db.select().from(rolloutTable)).length, 0);

  await fleet.enrol("eu-2");
  const [code, words] = await refusal(rollouts.startRollout({ spec: rules, planDigest: plan.digest }));
  assert.equal(code, "Aborted");
  assert.match(words, /The plan is no longer/);

  const again = await rollouts.planRollout({ spec: rules });
  const request = { spec: rules, planDigest: again.plan?.digest ?? "", requestId: "request-1" };
  const [one, two] = await Promise.all([rollouts.startRollout(request), rollouts.startRollout(request)]);
  assert.equal(one.rollout?.id, two.rollout?.id);
  const [overlap, why] = await refusal(rollouts.startRollout({ spec: rules }));
  assert.equal(overlap, "FailedPrecondition");
  assert.ok(why.includes(`is in rollout ${one.rollout?.id}`), why);
});

test("what cannot be rolled out is refused by name", async (t) => {
  const fleet = await startTestFleet(t);
  await fleet.enrol("eu-1");
  const rollouts = await fleet.at.client(RolloutService);
  const plan = (spec: Spec) => refusal(rollouts.planRollout({ spec: { ...rules, ...spec } }));
  assert.equal((await plan({ bundle: "starter@9.9.9" }))[0], "NotFound");
  assert.equal((await plan({ bundle: "nosuch" }))[0], "NotFound");
  const [none, says] = await plan({ kind: BundleKind.SHIPPER });
  assert.equal(none, "FailedPrecondition");
  assert.match(says, /No shipper bundle has been released yet: run fleetctl bundle push/);
  assert.equal((await plan({ kind: BundleKind.UNSPECIFIED }))[0], "InvalidArgument");
  assert.equal((await plan({ canary: 1_000_000 }))[0], "InvalidArgument");
  assert.equal((await plan({ selector: inRegion("mars") }))[0], "FailedPrecondition");
  assert.equal((await refusal(rollouts.getRollout({ rolloutId: "ro_unknown" })))[0], "NotFound");
  assert.equal((await refusal(rollouts.getRollout({ rolloutId: "../etc" })))[0], "InvalidArgument");
});

test("with two servers on one database no cluster is assigned twice, and both see the end", async (t) => {
  const fleet = await startTestFleet(t);
  const beside = await startTestServer(t, { beside: fleet.at });
  const names = Array.from({ length: 8 }, (_, i) => `eu-${i + 1}`);
  const agents = await Promise.all(
    names.map(async (name, i) => {
      const identity = await fleet.enrol(name);
      const agent = startSimAgent(i % 2 === 0 ? identity : { ...identity, baseUrl: beside.baseUrl });
      t.after(() => agent.kill());
      return agent;
    }),
  );
  const here = await fleet.at.client(RolloutService);
  const there = await beside.client(RolloutService);
  const { id } = await start(here, { ...rules, bundle: "starter@1.0.0", growth: 2 });
  const [one, two] = await Promise.all([watchToEnd(here, id), watchToEnd(there, id)]);
  assert.deepEqual([one.state, two.state], [RolloutState.SUCCEEDED, RolloutState.SUCCEEDED]);
  const rows = await fleet.at.db.select().from(assignments).where(eq(assignments.rulesRolloutId, id));
  assert.deepEqual(
    rows.map((row) => row.generation),
    names.map(() => 1n),
  );
  assert.deepEqual(new Set(agents.map(runs)), new Set([shaOf(fleet, 0)]));
});

test("an agent that leaves for good in the middle does not hold the rollout up", async (t) => {
  const fleet = await startTestFleet(t);
  await live(t, fleet, ["eu-1"]);
  await fleet.enrol("eu-2");
  const rollouts = await fleet.at.client(RolloutService);
  const { id } = await start(rollouts, rules);
  await until("the rollout waits for the one that is away", async () => {
    const { rollout } = await rollouts.getRollout({ rolloutId: id });
    return rollout?.because.includes("eu-2 (agent");
  });
  const { rollout: waiting } = await rollouts.getRollout({ rolloutId: id });
  const reasons = waiting?.waves.flatMap((wave) => wave.clusters.map((c) => [c.clusterName, c.reason]));
  assert.deepEqual(reasons, [
    ["eu-1", ""],
    ["eu-2", 'agent "node-1" is silent'],
  ]);
  await (await fleet.at.client(ClusterService)).retireCluster({ cluster: "eu-2" });
  const ended = await watchToEnd(rollouts, id);
  assert.deepEqual(
    [ended.state, clustersOf(ended)["eu-2"]],
    [RolloutState.SUCCEEDED, RolloutClusterState.REMOVED],
  );
});

test("a plan for clusters that run nothing names every rule that they get", async (t) => {
  const fleet = await startTestFleet(t);
  await fleet.enrol("eu-1");
  const { plan } = await (await fleet.at.client(RolloutService)).planRollout({ spec: rules });
  assert.deepEqual(
    plan?.diffs.map((diff) => [diff.from, diff.added, diff.removed, diff.changed, diff.clusterCount]),
    [[undefined, ["Exec into pod"], [], [], 1]],
  );
});

test("a page of rollouts of a huge fleet ends early and goes on, instead of growing without bound", async (t) => {
  const fleet = await startTestFleet(t);
  const { db } = fleet.at;
  await db.$client.query(`insert into clusters (id, name, uid, labels, created_at)
    select 'cl_' || n, 'c-' || n, 'u-' || n, '{"region":"eu"}', now() from generate_series(1, 11000) n`);
  await db.$client.query(
    `insert into rollouts (id, kind, digest, spec, state, plan_digest, waves, created_by, created_at,
      finished_at)
    select 'ro_' || n, 'rules', $1, '{"kind":"rules","selector":[],"regionOrder":[],"bundle":""}', 'succeeded', '',
      '[{"name":"eu"}]', 'test', now() + n * interval '1 s', now() from generate_series(1, 3) n`,
    [fleet.bundles[0]?.digest],
  );
  await db.$client.query(`insert into rollout_clusters (rollout_id, cluster_id, wave)
    select r.id, c.id, 0 from rollouts r, clusters c`);
  const rollouts = await fleet.at.client(RolloutService);
  const seen: string[][] = [];
  for (let pageToken = ""; ;) {
    const page = await rollouts.listRollouts({ pageToken });
    seen.push(page.rollouts.map((rollout) => rollout.id));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  assert.deepEqual(seen, [["ro_3"], ["ro_2"], ["ro_1"]]);
});

test("a plan shows the gates that judge it, is another with other limits, and refuses a gate that nobody knows", async (t) => {
  const fleet = await startTestFleet(t);
  await fleet.enrol("eu-1");
  const rollouts = await fleet.at.client(RolloutService);
  const planned = async (spec: Spec) => {
    const { plan } = await rollouts.planRollout({ spec: { ...rules, bundle: "starter@1.0.0", ...spec } });
    assert.ok(plan);
    return plan;
  };
  const usual = await planned({});
  assert.deepEqual(
    usual.gates.map(({ name, limit }) => [name, limit]),
    [["health", "5%"]],
  );
  const soaked = await planned({ soakSeconds: 600, gates: [{ name: "alerts", limit: "2x" }] });
  assert.equal(soaked.gates.length, 8);
  assert.notEqual((await planned({ soakSeconds: 600 })).digest, soaked.digest);
  const [code, why] = await refusal(planned({ gates: [{ name: "speed" }] }));
  assert.deepEqual([code, /there is no gate "speed"/.test(why)], ["InvalidArgument", true]);

  // The agent never proves, so its wave stays; what is stored is shown to those who see all of it.
  const { id } = await start(rollouts, { ...rules, bundle: "starter@1.0.0", soakSeconds: 600 });
  await fleet.at.db.$client.query(
    `insert into rollout_gates values ($1, 0, 'lag', 'waits', '', '30s', 'no rates come from: eu-1', 1, now())`,
    [id],
  );
  const shown = (await rollouts.getRollout({ rolloutId: id })).rollout;
  assert.equal(shown?.waves[0]?.gates[0]?.words, "no rates come from: eu-1");
  assert.equal(shown?.spec?.gates.length, 8);
});
