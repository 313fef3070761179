import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { AlertService } from "#proto/fleet/v1/alert";
import { AuthService } from "#proto/fleet/v1/auth";
import { BundleService } from "#proto/fleet/v1/bundle";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { TokenService } from "#proto/fleet/v1/token";

import type { Scope } from "../domain/scope.ts";
import { defaultIntakeBounds } from "../domain/alert-intake.ts";
import { createAlertTaker } from "../sessions/take-alerts.ts";
import type { AlertRow } from "../store/alert-intake.ts";
import { enrollAgent, publishRoot, startTestServer } from "../testing.ts";
import { startTestFleet } from "./agent-service/fixture.ts";

const teams = (...values: string[]) => [{ key: "team", operator: "in", values }] as const as unknown as Scope;
const payments = teams("payments");
const wire = (key: string, ...values: string[]) => ({
  requirements: [{ key, operator: Requirement_Operator.IN, values }],
});

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

test("a rollout that reaches beyond a scope shows its part only, and is nobody's to decide who does not see all of it", async (t) => {
  const fleet = await startTestFleet(t);
  for (const [cluster, team] of [
    ["eu-1", "search"],
    ["eu-2", "payments"],
    ["us-1", "search"],
  ] as const) {
    await fleet.enrol(cluster, { labels: { team } });
  }
  const all = await fleet.at.client(RolloutService);
  const spec = {
    kind: BundleKind.RULES,
    bundle: "starter@1.0.0",
    selector: wire("cluster", "eu-1", "eu-2", "us-1"),
  };
  const { rollout: whole } = await all.startRollout({ spec: { ...spec, regionOrder: ["us", "eu"] } });
  assert.ok(whole);
  assert.equal(whole.partial, false);

  const rollouts = await fleet.at.client(RolloutService, "operator", payments);
  const { rollout: part } = await rollouts.getRollout({ rolloutId: whole.id });
  assert.ok(part);
  assert.equal(part.partial, true);
  assert.deepEqual(
    part.waves.map((wave) => wave.clusters.map((cluster) => cluster.clusterName)),
    [["eu-2"]],
  );
  assert.deepEqual([part.wave, part.spec?.selector, part.spec?.regionOrder], [0, undefined, []]);
  for (const decide of ["pauseRollout", "abortRollout", "undoRollout"] as const) {
    const said = await refusal(rollouts[decide]({ rolloutId: whole.id, generation: part.generation }));
    assert.match(
      said,
      /^PermissionDenied: Rollout ro_\w+ reaches beyond the scope of the API token "test operator"/,
    );
  }
  const strangers = await fleet.at.client(RolloutService, "admin", teams("ads"));
  assert.match(await refusal(strangers.getRollout({ rolloutId: whole.id })), /^NotFound: No such rollout/);
  assert.deepEqual((await strangers.listRollouts({})).rollouts, []);

  const bundles = await fleet.at.client(BundleService, "viewer", payments);
  const { bundles: listed } = await bundles.listBundles({});
  const counted = listed.map(({ ref, assignedCount }) => `${ref?.version}: ${assignedCount}`);
  assert.ok(!counted.some((text) => /: [23]$/.test(text)), counted.join());
});

test("what somebody with a scope starts takes the clusters of the scope, however wide the selector is", async (t) => {
  const fleet = await startTestFleet(t);
  await fleet.enrol("eu-1", { labels: { team: "search" } });
  await fleet.enrol("eu-2", { labels: { team: "payments" } });
  const rollouts = await fleet.at.client(RolloutService, "operator", payments);
  const spec = { kind: BundleKind.RULES, bundle: "starter@1.0.0" };
  const { rollout } = await rollouts.startRollout({ spec, requestId: "once" });
  assert.deepEqual(
    rollout?.waves.flatMap((wave) => wave.clusters.map((cluster) => cluster.clusterName)),
    ["eu-2"],
  );
  assert.equal((await rollouts.startRollout({ spec, requestId: "once" })).rollout?.id, rollout?.id);
  const others = await fleet.at.client(RolloutService, "operator", teams("search"));
  const said = await refusal(others.startRollout({ spec, requestId: "once" }));
  assert.match(said, /^AlreadyExists: .*take another request_id/);
});

test("nobody labels a cluster out of his scope, nor into or out of one that he does not hold", async (t) => {
  const fleet = await startTestFleet(t, 1);
  await fleet.enrol("eu-1", { labels: { team: "payments", tier: "one" } });
  const tokens = await fleet.at.client(TokenService);
  await tokens.createApiToken({ name: "tier two", role: "viewer", scope: wire("tier", "two") });
  const held = {
    requirements: [...wire("team", "payments").requirements, ...wire("stage", "a").requirements],
  };
  await tokens.createApiToken({ name: "mine", role: "viewer", scope: held });
  const clusters = await fleet.at.client(ClusterService, "operator", payments);
  const label = (set: Record<string, string>) => clusters.labelCluster({ cluster: "eu-1", set });

  assert.match(
    await refusal(label({ team: "search" })),
    /^PermissionDenied: .*out of your scope, which is team=payments/,
  );
  assert.match(await refusal(label({ tier: "two" })), /^PermissionDenied: .*scope of somebody else/);
  await label({ tier: "three", stage: "a", note: "x" });
  const both = await fleet.at.client(ClusterService, "operator", teams("payments", "search"));
  await both.labelCluster({ cluster: "eu-1", set: { team: "search" } });
  assert.match(await refusal(label({ note: "y" })), /^NotFound: No such cluster: "eu-1"/);
});

test("a tail carries alerts of its scope only, and ends when the token is revoked by another server", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const beside = await startTestServer(t, { beside: fleet.at });
  const alertOf = async (cluster: string, team: string): Promise<AlertRow> => {
    const { clusterId, agentId } = await fleet.enrol(cluster, { labels: { team } });
    const id = team.padEnd(64, "0");
    const words = {
      rule: team,
      source: "k8s_audit",
      output: team,
      body: "{}",
      auditId: "",
      tags: [],
      rulesDigest: "",
      actor: "",
      fields: {},
    };
    return { id, timeUs: BigInt(Date.now()) * 1000n, clusterId, agentId, priority: 4, ...words };
  };
  const rows = [await alertOf("eu-1", "search"), await alertOf("eu-2", "payments")];
  const tokens = await beside.client(TokenService);
  const { token, secret } = await tokens.createApiToken({
    name: "eye",
    role: "viewer",
    scope: wire("team", "payments"),
  });
  const seen: string[] = [];
  const ended = (async () => {
    const tail = fleet.at.bearing(AlertService, secret).tailAlerts({}, { timeoutMs: 60_000 });
    for await (const { alerts } of tail) {
      if (alerts.length === 0) continue;
      seen.push(...alerts.map(({ rule }) => rule));
      await tokens.revokeApiToken({ id: token?.id ?? "" });
    }
  })();
  // The tail begins at some time after the call; alerts that come before are not its.
  const take = createAlertTaker(fleet.at.db, defaultIntakeBounds);
  const feeding = setInterval(() => {
    const now = BigInt(Date.now()) * 1000n;
    for (const row of rows) void take(row.clusterId, [{ ...row, timeUs: now }], new Date());
  }, 100);
  const said = await refusal(ended).finally(() => clearInterval(feeding));
  assert.match(said, /^Unauthenticated: The API token "eye" was revoked/);
  assert.ok(seen.length > 0);
  assert.deepEqual([...new Set(seen)], ["payments"]);
  const again = fleet.at.bearing(ClusterService, secret).listClusters({});
  assert.match(await refusal(again), /^Unauthenticated/);
});

test("a join token reaches no cluster outside the scope of whoever made it, and says nothing of it", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const whole = await at.client(TokenService);
  const theirs = await whole.createJoinToken({ labels: { region: "eu", team: "search" } });
  await enrollAgent(at, theirs.joinString, { clusterName: "sea-1", clusterUid: "uid-sea" });
  const tokens = await at.client(TokenService, "operator", payments);
  assert.match(
    await refusal(tokens.createJoinToken({ labels: { region: "eu", team: "search" } })),
    /^PermissionDenied: .*outside your scope, which is team=payments/,
  );
  const { joinString } = await tokens.createJoinToken({ labels: { region: "eu", team: "payments" } });
  for (const change of [
    { clusterName: "sea-1", clusterUid: "uid-sea", agentName: "spy" },
    { clusterName: "sea-1", clusterUid: "uid-guessed" },
  ]) {
    const said = await refusal(enrollAgent(at, joinString, change));
    assert.match(
      said,
      /^FailedPrecondition: The join token jt_\w+ does not reach a cluster of this name and UID/,
    );
    assert.doesNotMatch(said, /uid-sea/);
  }
  await enrollAgent(at, joinString, { clusterName: "pay-1", clusterUid: "uid-pay" });
});

test("a token that an admin with a scope makes is never wider than the admin", async (t) => {
  const at = await startTestServer(t);
  const tokens = await at.client(TokenService, "admin", payments);
  const made = await tokens.createApiToken({ name: "wide", role: "admin" });
  const wide = await tokens.createApiToken({ name: "other", role: "admin", scope: wire("team", "search") });
  const who = async (secret: string) => (await at.bearing(AuthService, secret).whoAmI({})).identity;
  assert.deepEqual(
    (await who(made.secret))?.scope?.requirements.map(({ key, values }) => [key, values]),
    [["team", ["payments"]]],
  );
  assert.deepEqual(
    (await who(wide.secret))?.scope?.requirements.map(({ key, values }) => [key, values]),
    [
      ["team", ["payments"]],
      ["team", ["search"]],
    ],
    "both have to hold, so it reaches nothing",
  );
  const fleet = await at.client(TokenService);
  const { token } = await fleet.createApiToken({ name: "fleet", role: "viewer" });
  assert.match(await refusal(tokens.revokeApiToken({ id: token?.id ?? "" })), /^NotFound: No such API token/);
  await at.bearing(AuthService, made.secret).logout({});
  assert.match(await refusal(who(made.secret)), /^Unauthenticated: The API token "wide" was revoked/);
});
