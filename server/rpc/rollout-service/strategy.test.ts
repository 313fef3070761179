import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { sql } from "../../store/drizzle.ts";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutClusterState, RolloutService, RolloutState, type Rollout } from "#proto/fleet/v1/rollout";
import { OfflinePolicy } from "#proto/fleet/v1/rollout_spec";

import { startSimAgent } from "../../../test/support/sim-agent.ts";
import { publishRoot, push, rulesBundle, startTestServer } from "../../testing.ts";
import { startTestFleet } from "../agent-service/fixture.ts";

const stage = (environment: string, percent?: number) => ({
  name: environment,
  selector: {
    requirements: [{ key: "environment", operator: Requirement_Operator.IN, values: [environment] }],
  },
  steps: percent === undefined ? [] : [{ size: { case: "percent" as const, value: percent } }],
});
const one = { size: { case: "count" as const, value: 1 } };

test("a strategy goes over the wire and back, decides the waves, and bounds who has to prove at a time", async (t) => {
  const fleet = await startTestFleet(t);
  for (const [name, environment] of [
    ["eu-1", "prod"],
    ["eu-2", "test"],
    ["us-1", "test"],
    ["us-2", "prod"],
    ["us-3", "prod"],
  ] as const) {
    const agent = startSimAgent(await fleet.enrol(name, { labels: { environment } }));
    t.after(() => agent.kill());
    await agent.connected;
  }
  await fleet.enrol("us-4", { labels: { environment: "prod" } });
  const rollouts = await fleet.at.client(RolloutService);
  const spec = {
    kind: BundleKind.RULES,
    stages: [stage("test", 50), stage("prod")],
    maxUnavailable: one,
    maxFailuresPercent: 20,
    offline: OfflinePolicy.SKIP,
    growth: 5,
  };
  const { plan } = await rollouts.planRollout({ spec });
  assert.deepEqual(
    plan?.waves.map((wave) => [wave.name, ...wave.clusters.map((cluster) => cluster.clusterName)]),
    [
      ["test 1 of 2 (to 50%)", "eu-2"],
      ["test 2 of 2 (to 100%)", "us-1"],
      ["prod eu", "eu-1"],
      ["prod us 1 of 2", "us-2"],
      ["prod us 2 of 2", "us-3"],
      ["silent", "us-4"],
    ],
  );
  assert.deepEqual([plan?.silent, plan?.maxUnavailable, plan?.maxFailures], [["us-4"], 1, 1]);
  const { rollout } = await rollouts.startRollout({ spec, planDigest: plan?.digest ?? "" });
  assert.deepEqual(
    rollout?.spec?.stages.map(({ name, steps }) => [name, steps.map(({ size }) => size.value)]),
    [
      ["test", [50]],
      ["prod", []],
    ],
  );
  assert.equal(rollout?.spec?.offline, OfflinePolicy.SKIP);
  let last: Rollout | undefined;
  for await (const picture of rollouts.watchRollout(
    { rolloutId: rollout?.id ?? "" },
    { timeoutMs: 20_000 },
  )) {
    last = picture.rollout;
    const clusters = last?.waves.flatMap((wave) => wave.clusters) ?? [];
    const unproved = clusters.filter((cluster) => cluster.state === RolloutClusterState.ASSIGNED);
    assert.ok(unproved.length <= 1, `${unproved.length} clusters had to prove at once`);
  }
  assert.equal(last?.state, RolloutState.SUCCEEDED);
  assert.match(last?.because ?? "", /5 clusters proved the bundle, 1 cluster gets it when heard of \(us-4\)/);
  assert.deepEqual(
    last?.waves.at(-1)?.clusters.map((cluster) => [cluster.state, cluster.reason]),
    [[RolloutClusterState.WAITING, "silent; gets it when it is heard of again"]],
  );

  // Heard of for the first time after the end, it gets what it is owed.
  const late = startSimAgent(await fleet.enrol("us-4", { labels: { environment: "prod" } }));
  t.after(() => late.kill());
  await late.connected;
  const end = performance.now() + 15_000;
  while (late.state.running.get("rules")?.sha256 !== fleet.bundles[1]?.target.sha256) {
    assert.ok(performance.now() < end, "it was not caught up");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test("a plan names agents whose engine is too old for the bundle, and is not started", async (t) => {
  const at = await startTestServer(t);
  const bundle = rulesBundle("2.0.0", { requires: { engine: ">=0.60.0" } });
  await push(at, await publishRoot(at), undefined, [bundle]);
  for (const [name, engine] of [
    ["eu-1", "0.59.9"],
    ["eu-2", "0.60.0"],
    ["eu-3", ""],
  ] as const) {
    await at.db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
      values (${`cl_${name}`}, ${name}, ${name}, '{"region":"eu"}', now())`);
    await at.db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial,
      certificate_expires_at, created_at, engine_version)
      values (${`ag_${name}`}, ${`cl_${name}`}, 'node-1', '\\x00', '', now(), now(), ${engine})`);
  }
  const rollouts = await at.client(RolloutService);
  const spec = { kind: BundleKind.RULES };
  const { plan } = await rollouts.planRollout({ spec });
  assert.deepEqual(
    plan?.engineProblems.map((each) => [each.clusterName, each.engineVersion, each.required]),
    [["eu-1", "0.59.9", ">=0.60.0"]],
  );
  const refused = await rollouts.startRollout({ spec }).then(
    () => undefined,
    (error: unknown) => ConnectError.from(error),
  );
  assert.equal(refused?.code, Code.FailedPrecondition);
  assert.match(
    refused?.rawMessage ?? "",
    /asks for engine >=0.60.0, .*: eu-1 \(0.59.9\)\. Upgrade their agents/,
  );
});

test("a plan says which threats a bundle watches for anew and no longer", async (t) => {
  const rule = (name: string, tags: string) =>
    `- rule: ${name}\n  desc: d\n  condition: ka.verb=get\n  output: o\n  priority: INFO\n  source: k8s_audit\n  tags: [${tags}]\n`;
  const of = (version: string, content: string) =>
    rulesBundle(version, { files: [{ path: "rules.yaml", content }] });
  const fleet = await startTestFleet(t, 1);
  const before = of("3.0.0", rule("A", "k8s, mitre_execution, T1059") + rule("B", "mitre_impact"));
  const after = of("3.1.0", rule("A", "k8s, mitre_execution, T1609"));
  await push(fleet.at, fleet.offline, fleet.targets, [before, after]);
  const identity = await fleet.enrol("eu-1");
  await fleet.at.db.execute(sql`update assignments set rules_digest = ${before.digest}, generation = 1
    where cluster_id = ${identity.clusterId}`);
  const rollouts = await fleet.at.client(RolloutService);
  const { plan } = await rollouts.planRollout({ spec: { kind: BundleKind.RULES, bundle: "starter@3.1.0" } });
  const diff = plan?.diffs[0];
  assert.deepEqual([diff?.rulesBefore, diff?.rulesAfter], [2, 1]);
  assert.deepEqual([diff?.tagsGained, diff?.tagsLost], [["t1609"], ["mitre_impact", "t1059"]]);
});
