/** A small real fleet, and a person at the command line: what a rollout changes, and what takes it back. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { BundleKind } from "#proto/fleet/v1/common";
import { provedDigest, readClusters } from "../../cli/local/clusters.ts";
import { part, type Fleet } from "../../cli/local/fleet.ts";
import { until } from "../../cli/local/until.ts";
import { localFleet } from "../support/local-fleet.ts";
import { spawnCli } from "../support/run-cli.ts";

interface RolloutJson {
  readonly id: string;
  readonly state: string;
  readonly generation: string;
  readonly wave?: number;
  readonly waves?: readonly {
    readonly clusters: readonly { readonly clusterName: string; readonly state: string }[];
  }[];
}

/** Runs fleetctl as a person does, and holds it to its exit code. */
async function fleetctl(t: TestContext, code: number, ...argv: readonly string[]): Promise<string> {
  const result = await spawnCli(argv, { env: { FLEETCTL_CONTEXT: "local" } });
  t.diagnostic(`fleetctl ${argv.join(" ")}: exit ${result.code}`);
  assert.equal(result.code, code, `fleetctl ${argv.join(" ")}\n${result.out}${result.talk}`);
  return code === 0 ? result.out : result.talk;
}

async function rolloutOf(t: TestContext, ...argv: readonly string[]): Promise<RolloutJson> {
  return JSON.parse(await fleetctl(t, 0, "rollout", ...argv, "-o", "json")) as RolloutJson;
}

/** The digest of the rules that each cluster proves to run. */
async function running(fleet: Fleet): Promise<Record<string, string>> {
  const clusters = await readClusters(fleet);
  return Object.fromEntries(
    [...clusters].map(([name, cluster]) => [name, provedDigest(cluster, BundleKind.RULES)]),
  );
}

test(
  "a rollout to a region changes exactly its clusters, undo brings exactly them back, and pause, resume and abort say by their exit codes how it went",
  { timeout: 240_000 },
  async (t) => {
    const fleet = await localFleet(t, { regions: ["eu=2", "us=1"], rate: 20 });
    const { names, rulesBefore, rulesAfter } = part(fleet, "bundles");
    const before = await running(fleet);
    assert.deepEqual(before, { "eu-1": rulesBefore, "eu-2": rulesBefore, "us-1": rulesBefore });

    const done = await rolloutOf(t, "rules", "--region", "eu", "--bundle", names.rulesAfter, "--watch");
    assert.equal(done.state, "ROLLOUT_STATE_SUCCEEDED");
    assert.deepEqual(await running(fleet), { ...before, "eu-1": rulesAfter, "eu-2": rulesAfter });
    // What has ended takes no decision but the undo.
    for (const decision of ["pause", "resume", "abort"]) {
      assert.match(await fleetctl(t, 1, "rollout", decision, done.id), /that is succeeded/);
    }

    const undone = await rolloutOf(t, "undo", done.id, "--watch");
    assert.equal(undone.state, "ROLLOUT_STATE_ROLLED_BACK");
    assert.deepEqual(await running(fleet), before);
    assert.match(await fleetctl(t, 1, "rollout", "undo", done.id), /that is rolled-back/);

    await pauseAndResume(t, fleet);
    await fleetctl(t, 0, "rollout", "undo", (await newest(t)).id, "--watch");
    assert.deepEqual(await running(fleet), before);

    await pauseAndAbort(t, fleet);
    await oneCluster(t, fleet);
  },
);

/** The newest rollout. */
async function newest(t: TestContext): Promise<RolloutJson> {
  return rolloutOf(t, "show");
}

/** A rollout of two waves that cannot reach its second by itself before somebody looked. */
function startSlowly(t: TestContext, fleet: Fleet): Promise<RolloutJson> {
  const { rulesAfter } = part(fleet, "bundles").names;
  return rolloutOf(t, "rules", "--region", "eu", "--bundle", rulesAfter, "--soak", "2m", "--no-watch");
}

async function pauseAndResume(t: TestContext, fleet: Fleet): Promise<void> {
  const { rulesBefore, rulesAfter } = part(fleet, "bundles");
  const { id, generation } = await startSlowly(t, fleet);
  await fleetctl(t, 0, "rollout", "pause", id, "--generation", generation);
  assert.match(await fleetctl(t, 1, "rollout", "pause", id), /that is paused/);
  assert.match(
    await fleetctl(t, 1, "rollout", "resume", id, "--generation", generation),
    /changed after generation/,
  );
  // Whoever follows a paused rollout is told by the exit code that it did not succeed.
  assert.match(await fleetctl(t, 1, "rollout", "watch", id), /is paused/);
  await until("the canary keeps on proving while it is paused", 30_000, async () => {
    const now = await running(fleet);
    return now["eu-1"] === rulesAfter ? { done: true } : { seen: JSON.stringify(now) };
  });
  assert.equal((await running(fleet))["eu-2"], rulesBefore);
  await fleetctl(t, 0, "rollout", "resume", id);
  await fleetctl(t, 0, "rollout", "abort", id);
  const ended = await newest(t);
  assert.deepEqual([ended.id, ended.state], [id, "ROLLOUT_STATE_ABORTED"]);
  assert.deepEqual(await running(fleet), {
    "eu-1": rulesAfter,
    "eu-2": rulesBefore,
    "us-1": rulesBefore,
  });
}

async function pauseAndAbort(t: TestContext, fleet: Fleet): Promise<void> {
  const { rulesBefore } = part(fleet, "bundles");
  const { id } = await startSlowly(t, fleet);
  await fleetctl(t, 0, "rollout", "pause", id);
  await fleetctl(t, 0, "rollout", "abort", id);
  assert.match(await fleetctl(t, 1, "rollout", "resume", id), /that is aborted/);
  assert.match(await fleetctl(t, 1, "rollout", "watch", id), /is aborted/);
  assert.equal((await running(fleet))["eu-2"], rulesBefore);
  await fleetctl(t, 1, "rollout", "abort", "ro_0000000000000000");
  await fleetctl(t, 2, "rollout", "abort");
}

/** The label that every cluster has from its name chooses it alone, by either way of saying so. */
async function oneCluster(t: TestContext, fleet: Fleet): Promise<void> {
  const { names, rulesAfter } = part(fleet, "bundles");
  const before = await until("every cluster to run what it is assigned", 30_000, async () => {
    const clusters = [...(await readClusters(fleet)).values()];
    const behind = clusters.filter((c) => provedDigest(c, BundleKind.RULES) !== c.assignment?.rules?.digest);
    return behind.length === 0 ? { done: await running(fleet) } : { seen: behind.map((c) => c.name).join() };
  });
  const done = await rolloutOf(t, "rules", "--cluster", "us-1", "--bundle", names.rulesAfter, "--watch");
  assert.deepEqual(await running(fleet), { ...before, "us-1": rulesAfter });
  await fleetctl(t, 0, "rollout", "undo", done.id, "--watch");
  const again = await rolloutOf(t, "rules", "-l", "cluster=us-1", "--bundle", names.rulesAfter, "--watch");
  assert.deepEqual(
    again.waves?.flatMap((wave) => wave.clusters.map((cluster) => cluster.clusterName)),
    ["us-1"],
  );
  assert.deepEqual(await running(fleet), { ...before, "us-1": rulesAfter });
}
