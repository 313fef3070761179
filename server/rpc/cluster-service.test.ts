import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { AlertService } from "#proto/fleet/v1/alert";
import { BundleService } from "#proto/fleet/v1/bundle";
import { ClusterHealth, ClusterOrder, ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { TokenService } from "#proto/fleet/v1/token";

import type { Scope } from "../domain/scope.ts";
import { listPartitions } from "../store/partitions.ts";
import { agentComponents, agents, assignments, attempts, clusters, rates } from "../store/schema.ts";
import { until } from "./agent-service/fixture.ts";
import { publishRoot, push, rulesBundle, startTestServer, type TestServer } from "../testing.ts";

const minute = new Date(Math.floor(Date.now() / 60_000) * 60_000);

async function addCluster(
  at: TestServer,
  name: string,
  labels: Record<string, string>,
  lastSeenAt: Date | null = new Date(),
) {
  const id = `cl_${name.replaceAll("-", "x")}`;
  await at.db.insert(clusters).values({ id, name, uid: `uid-${name}`, labels, createdAt: minute });
  await at.db.insert(agents).values({
    id: `ag_${name.replaceAll("-", "x")}`,
    clusterId: id,
    name: "node-1",
    publicKey: new Uint8Array([1]),
    certificateSerial: "01",
    certificateExpiresAt: new Date(Date.now() + 86_400_000),
    lastSeenAt,
    createdAt: minute,
  });
  return id;
}

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

test("clusters come page by page in the order of their names, chosen by label", async (t) => {
  const at = await startTestServer(t);
  const names = ["b-1", "a-1", "a1", "c-1", "a-2"];
  for (const name of names) await addCluster(at, name, { region: name.startsWith("c") ? "us" : "eu" });
  const service = await at.client(ClusterService, "viewer");
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await service.listClusters({ pageSize: 2, pageToken });
    seen.push(...page.clusters.map((cluster) => cluster.name));
    assert.equal(page.totalSize, 5);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(seen, names.toSorted());
  const selector = { requirements: [{ key: "region", operator: Requirement_Operator.IN, values: ["us"] }] };
  const chosen = await service.listClusters({ selector });
  assert.deepEqual(
    chosen.clusters.map((cluster) => cluster.name),
    ["c-1"],
  );
});

test("pages in another order go on where they ended, and a token of one order is refused in another", async (t) => {
  const at = await startTestServer(t);
  const heard = [30_000, null, 10_000, 20_000];
  for (const [i, ago] of heard.entries()) {
    await addCluster(at, `c-${i}`, { region: "eu" }, ago === null ? null : new Date(Date.now() - ago));
  }
  const service = await at.client(ClusterService, "viewer");
  const order = ClusterOrder.UNHEARD;
  const first = await service.listClusters({ order, pageSize: 3 });
  const second = await service.listClusters({ order, pageSize: 3, pageToken: first.nextPageToken });
  assert.deepEqual(
    [first, second].map(({ clusters }) => clusters.map(({ name }) => name)),
    [["c-1", "c-0", "c-3"], ["c-2"]],
  );
  assert.deepEqual([first.totalSize, second.totalSize, second.nextPageToken], [4, 4, ""]);
  for (const other of [ClusterOrder.UNSPECIFIED, ClusterOrder.NEWEST]) {
    assert.match(
      await refusal(service.listClusters({ order: other, pageToken: first.nextPageToken })),
      /^InvalidArgument: .*belongs to a list in another order/,
    );
  }
  assert.match(
    await refusal(service.listClusters({ order: 99 as ClusterOrder })),
    /^InvalidArgument: order: is none/,
  );
});

test("a caller with a scope pages through its own clusters, and cannot page its way to others", async (t) => {
  const at = await startTestServer(t);
  for (let i = 0; i < 6; i += 1) await addCluster(at, `c-${i}`, { region: "eu", team: i % 2 ? "x" : "y" });
  const mine = [{ key: "team", operator: "in", values: ["x"] }] as const as unknown as Scope;
  const service = await at.client(ClusterService, "viewer", mine);
  const first = await service.listClusters({ pageSize: 2 });
  const second = await service.listClusters({ pageSize: 2, pageToken: first.nextPageToken });
  assert.deepEqual(
    [...first.clusters, ...second.clusters].map(({ name }) => name),
    ["c-1", "c-3", "c-5"],
  );
  assert.deepEqual([first.totalSize, second.nextPageToken], [3, ""]);
  // A token is a place and no permission: made up, it shows nothing more.
  const made = await service.listClusters({ pageToken: "after:c-0" });
  assert.deepEqual(
    made.clusters.map(({ name }) => name),
    ["c-1", "c-3", "c-5"],
  );
});

test("a cluster shows assignment, proofs, attempts, rates and why it is not well", async (t) => {
  const at = await startTestServer(t);
  // A server that starts for the first time moves rows into the partition of the day: a read at that moment may miss them.
  await until("the day has its partition", async () => (await listPartitions(at.db, "rates")).length > 0);
  const offline = await publishRoot(at);
  const [good, bad] = [rulesBundle("1.0.0"), rulesBundle("1.1.0")];
  await push(at, offline, undefined, [good, bad]);
  const id = await addCluster(at, "eu-1", { region: "eu" });
  const agentId = "ag_eux1";
  await at.db
    .insert(assignments)
    .values({ clusterId: id, generation: 2n, rulesDigest: bad.digest, changedAt: minute });
  await at.db.insert(agentComponents).values({
    agentId,
    kind: "rules",
    runningDigest: good.digest,
    runningSince: minute,
    provedGeneration: 1n,
    provedAt: minute,
  });
  await at.db.insert(attempts).values({
    agentId,
    kind: "rules",
    digest: bad.digest,
    generation: 2n,
    at: minute,
    phase: "rejected",
    reason: "trust/hash-mismatch",
    detail: "expected one, got another",
  });
  const counters = {
    agentId,
    clusterId: id,
    events: 600n,
    bytes: 9n,
    alerts: 1n,
    dropped: 0n,
    parked: 0n,
    lagMs: 5n,
    detectionUs: 7n,
  };
  await at.db.insert(rates).values([
    { ...counters, minute: new Date(minute.getTime() - 60_000), seconds: 60 },
    { ...counters, minute, events: 3n, seconds: 2 },
  ]);
  const service = await at.client(ClusterService, "viewer");
  const { cluster } = await service.getCluster({ cluster: "eu-1" });
  assert.equal(cluster?.health, ClusterHealth.DEGRADED);
  assert.equal(
    cluster?.healthReason,
    'agent "node-1" rejected its assigned rules: trust/hash-mismatch: expected one, got another',
  );
  assert.equal(cluster?.assignment?.rules?.version, "1.1.0");
  assert.deepEqual(
    cluster?.running.map((running) => running.bundle?.version),
    ["1.0.0"],
  );
  assert.deepEqual(
    cluster?.agents[0]?.attempts.map((attempt) => attempt.phase),
    ["rejected"],
  );
  // The minute in work covers too little to say anything about a rate.
  assert.deepEqual([cluster?.rates?.events, cluster?.rates?.seconds], [600n, 60]);
  const { series } = await service.getRates({});
  assert.deepEqual(
    series[0]?.rates.map((each) => each.events),
    [600n, 3n],
  );
  assert.equal((await service.getCluster({ cluster: id })).cluster?.name, "eu-1");
});

test("a cluster that is not heard of is silent, whatever it said before", async (t) => {
  const at = await startTestServer(t);
  await addCluster(at, "eu-1", { region: "eu" }, new Date(Date.now() - 3_600_000));
  const { clusters: found } = await (await at.client(ClusterService)).listClusters({});
  assert.equal(found[0]?.health, ClusterHealth.SILENT);
  assert.equal(found[0]?.healthReason, 'agent "node-1" was last heard of 60 min ago');
});

test("labels are set and removed, all mistakes named at once, and the region stays", async (t) => {
  const at = await startTestServer(t);
  await addCluster(at, "eu-1", { region: "eu", team: "payments" });
  const service = await at.client(ClusterService, "operator");
  const { cluster } = await service.labelCluster({
    cluster: "eu-1",
    set: { tribe: "money" },
    remove: ["team"],
  });
  assert.deepEqual({ ...cluster?.labels }, { region: "eu", tribe: "money" });
  assert.match(
    await refusal(service.labelCluster({ cluster: "eu-1", remove: ["region"] })),
    /^InvalidArgument: labels: needs a region/,
  );
  const wrong = service.labelCluster({ cluster: "eu-1", set: { "bad key": "x", team: "not ok!" } });
  assert.match(
    await refusal(wrong),
    /^InvalidArgument: .*"bad key" is no label key.*"not ok!", which is no label value/,
  );
  assert.match(
    await refusal(service.labelCluster({ cluster: "nobody" })),
    /^NotFound: No such cluster: "nobody"/,
  );
  const racing = await Promise.allSettled(
    ["a", "b"].map((team) => service.labelCluster({ cluster: "eu-1", set: { team } })),
  );
  const lost = racing.flatMap((each) =>
    each.status === "rejected" ? [ConnectError.from(each.reason).code] : [],
  );
  assert.ok(lost.every((code) => code === Code.Aborted));
});

test("a retired cluster leaves the list and keeps its record", async (t) => {
  const at = await startTestServer(t);
  await addCluster(at, "eu-1", { region: "eu" });
  const service = await at.client(ClusterService, "operator");
  const first = await service.retireCluster({ cluster: "eu-1" });
  const again = await service.retireCluster({ cluster: "eu-1" });
  assert.deepEqual(again.cluster?.retiredAt, first.cluster?.retiredAt);
  assert.equal((await service.listClusters({})).totalSize, 0);
  assert.equal((await service.listClusters({ includeRetired: true })).totalSize, 1);
  assert.match(await refusal(service.getRates({ minutes: 1441 })), /^InvalidArgument: minutes: /);
});

test("two people who label a cluster at once both get their way", async (t) => {
  const at = await startTestServer(t);
  await addCluster(at, "eu-1", { region: "eu", cluster: "eu-1" });
  const service = await at.client(ClusterService);
  await Promise.all([1, 2, 3].map((n) => service.labelCluster({ cluster: "eu-1", set: { [`l${n}`]: "x" } })));
  const { cluster } = await service.getCluster({ cluster: "eu-1" });
  assert.deepEqual(cluster?.labels, { region: "eu", cluster: "eu-1", l1: "x", l2: "x", l3: "x" });
});

test("rates of more clusters and minutes than one answer can hold are refused with the limit", async (t) => {
  const at = await startTestServer(t);
  await at.db.$client.query(`insert into clusters (id, name, uid, labels, created_at)
    select 'cl_' || n, 'c-' || n, 'u-' || n, '{"region":"eu"}', now() from generate_series(1, 300) n`);
  const service = await at.client(ClusterService);
  assert.equal((await service.getRates({})).series.length, 300);
  assert.match(await refusal(service.getRates({ minutes: 1440 })), /^ResourceExhausted: .*choose fewer/);
});

test("what no database can store is the caller's mistake, never ours, whatever call it comes by", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const nul = "a\0b";
  const [clusters, bundles, tokens, rollouts, alerts] = await Promise.all([
    at.client(ClusterService),
    at.client(BundleService),
    at.client(TokenService),
    at.client(RolloutService),
    at.client(AlertService),
  ]);
  const rules = { kind: BundleKind.RULES };
  const calls = {
    getCluster: clusters.getCluster({ cluster: nul }),
    labelCluster: clusters.labelCluster({ cluster: nul }),
    retireCluster: clusters.retireCluster({ cluster: nul }),
    getBundle: bundles.getBundle({ bundle: nul }),
    revokeJoinToken: tokens.revokeJoinToken({ id: nul }),
    revokeApiToken: tokens.revokeApiToken({ id: nul }),
    planBundle: rollouts.planRollout({ spec: { ...rules, bundle: nul } }),
    planRegions: rollouts.planRollout({ spec: { ...rules, regionOrder: [nul] } }),
    startRollout: rollouts.startRollout({ spec: rules, requestId: nul }),
    listRollouts: rollouts.listRollouts({ pageToken: "after:999999999999999:ro_x" }),
    listAlerts: alerts.listAlerts({ filter: { rules: [nul] } }),
    getAlertStats: alerts.getAlertStats({ by: "rule", filter: { rules: [nul] } }),
  };
  const codes = await Promise.all(
    Object.entries(calls).map(async ([name, call]) => [name, (await refusal(call)).split(":")[0]]),
  );
  assert.deepEqual(
    codes,
    Object.keys(calls).map((name) => [name, "InvalidArgument"]),
  );
});
