import assert from "node:assert/strict";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { ClusterHealth, GetFleetSummaryRequestSchema, type Cluster } from "#proto/fleet/v1/cluster";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import { layerComponent } from "../domain/component.ts";
import { parseScope, type Scope } from "../domain/scope.ts";
import { sql } from "../store/drizzle.ts";
import { listClusters } from "../store/clusters.ts";
import { summaryStatement } from "../store/fleet-summary.ts";
import { agentComponents, agents, assignments, attempts, bundles, clusters, rates } from "../store/schema.ts";
import { toMessages } from "./cluster-parts.ts";
import { fleetSummaries } from "./fleet-summary.ts";

const now = new Date(Date.UTC(2026, 0, 2, 12, 0, 30));
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000);
const layer = layerComponent("payments");
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

/** What an agent may be like, so that every mixture of two of them is some cluster's. */
const kinds = [
  { seen: 5 },
  { seen: 5, running: "b" },
  { seen: 5, running: "b", phase: "rejected" },
  { seen: 5, running: "a", phase: "rejected" },
  { seen: 5, running: "b", phase: "applied" },
  { seen: 5, condition: "output/unreachable" },
  { seen: 5, condition: "trust/aging root" },
  { seen: 5, suspectedAgo: 60 },
  { seen: 5, suspectedAgo: 90_000 },
  { seen: 5, flappedAgo: 60 },
  { seen: 5, flappedAgo: 700 },
  { seen: 5, layerPhase: "rejected" },
  { seen: 5, layerPhase: "applied" },
  { seen: 61 },
  { seen: 60 },
  { seen: 90_000 },
  { seen: 30, left: 30 },
  // Heard of 20 s after its goodbye, which may have been on its way, and a moment later.
  { seen: 3_600, left: 3_620 },
  { seen: 3_600, left: 3_620.001 },
  { created: 10 },
  { created: 10, running: "b", phase: "rolled-back" },
  { created: 900 },
  { seen: 5, isRevoked: true },
] as const satisfies readonly AgentKind[];

interface AgentKind {
  /** Seconds ago; absent for one that never connected. */
  readonly seen?: number;
  readonly left?: number;
  readonly created?: number;
  /** What it runs; "a" is what is assigned, and meant when nothing is said. */
  readonly running?: string;
  readonly phase?: string;
  readonly condition?: string;
  readonly suspectedAgo?: number;
  readonly flappedAgo?: number;
  /** How the layer that its cluster is assigned went; it says nothing of it otherwise. */
  readonly layerPhase?: string;
  readonly isRevoked?: boolean;
}

/** Rows for one agent with everything that it says. */
function agentRows(clusterId: string, node: number, kind: AgentKind) {
  const id = `ag_${clusterId}_${node}`;
  const since = "2026-01-01T00:00:00Z";
  const { seen, left, created = 100_000, running = "a", phase, condition, suspectedAgo, flappedAgo } = kind;
  const suspect = (code: string, seconds: number | undefined) =>
    seconds === undefined ? [] : [{ code, message: "", since, atMs: ago(seconds).getTime() }];
  const agent: typeof agents.$inferInsert = {
    id,
    clusterId,
    name: `node-${node}`,
    publicKey: new Uint8Array([1]),
    certificateSerial: "01",
    certificateExpiresAt: ago(-86_400),
    createdAt: ago(created),
    lastSeenAt: seen === undefined ? null : ago(seen),
    leftAt: left === undefined ? null : ago(left),
    revokedAt: kind.isRevoked === true ? now : null,
    conditions: condition === undefined ? [] : [{ code: condition, message: "", since }],
    suspicions: [...suspect("identity/copied", suspectedAgo), ...suspect("session/flapping", flappedAgo)],
  };
  const components: (typeof agentComponents.$inferInsert)[] = [
    { agentId: id, kind: "rules", runningDigest: digest(running) },
    ...(kind.layerPhase === undefined ? [] : [{ agentId: id, kind: layer }]),
  ];
  // An older attempt that went well says nothing about a newer one.
  const attempt = { agentId: id, kind: "rules", digest: digest("a") } as const;
  const tried: (typeof attempts.$inferInsert)[] = [
    { ...attempt, generation: 1n, at: ago(50), phase: "applied" },
    ...(phase === undefined ? [] : [{ ...attempt, generation: 2n, at: ago(60), phase }]),
    ...(kind.layerPhase === undefined
      ? []
      : [{ ...attempt, kind: layer, generation: 1n, at: ago(60), phase: kind.layerPhase }]),
  ];
  const minutes = [1, 2].map((minute) => new Date(Date.UTC(2026, 0, 2, 12, -minute)));
  const rated = minutes.map((minute, i) => ({
    agentId: id,
    clusterId,
    minute,
    events: BigInt(600 * (node + 1) * (i + 1)),
    bytes: 1n,
    alerts: BigInt(node),
    dropped: BigInt(node * i),
    parked: 0n,
    lagMs: BigInt(10 * node),
    detectionUs: 1n,
    seconds: 60 - 30 * i,
  }));
  return { agent, components, tried, rated };
}

async function store(db: TestDatabase): Promise<void> {
  const pairs = kinds.flatMap((a, i) => kinds.slice(i).map((b) => [a, b] as const));
  const all = [...pairs, []].map((pair, i) => ({ id: `cl_${i}`, pair, i }));
  await db.insert(bundles).values(
    ["a", "b"].map((letter) => ({
      digest: digest(letter),
      kind: "rules" as const,
      name: "starter",
      version: letter,
      targetPath: letter,
      length: 1n,
      content: new Uint8Array([1]),
      targetsVersion: 1n,
      pushedAt: now,
      pushedBy: "nobody",
    })),
  );
  await db.insert(clusters).values(
    all.map(({ id, i }) => ({
      id,
      name: `c-${i}`,
      uid: id,
      labels: { region: ["eu", "us"][i % 2] ?? "", team: ["x", "y", "z"][i % 3] ?? "" },
      createdAt: now,
      retiredAt: i % 40 === 39 ? now : null,
    })),
  );
  await db.insert(assignments).values(
    all.map(({ id, i }) => ({
      clusterId: id,
      generation: 1n,
      rulesDigest: i % 7 === 6 ? null : digest("a"),
      changedAt: now,
    })),
  );
  await db.execute(sql`
    insert into assignment_layers (cluster_id, layer, digest)
    select id, 'payments', ${digest("a")} from clusters`);
  const rows = all.flatMap(({ id, pair }) => pair.map((kind, node) => agentRows(id, node, kind)));
  await db.insert(agents).values(rows.map(({ agent }) => agent));
  await db.insert(agentComponents).values(rows.flatMap(({ components }) => components));
  await db.insert(attempts).values(rows.flatMap(({ tried }) => tried));
  await db.insert(rates).values(rows.flatMap(({ rated }) => rated));
}

test("the summary of a fleet says of every cluster what the list of clusters says, within scope and selector", async (t) => {
  const db = await freshDatabase(t);
  await store(db);
  const options = { db, now: () => now };
  const fleetSummary = fleetSummaries(options);
  const requirement = { key: "team", operator: "not-in", values: ["z"] };
  for (const raw of [[], [requirement]]) {
    const scope = scopeOf(raw);
    const rows = await listClusters(db, { scope, selector: [], includeRetired: false });
    const listed = await toMessages(options, rows, 1, false);
    const request = create(GetFleetSummaryRequestSchema, { worst: 200, minutes: 5 });
    const { regions, needing } = await fleetSummary(scope, request);
    assert.deepEqual(
      regions.map(({ region }) => region),
      ["eu", "us"],
    );
    for (const region of regions) {
      const those = listed.filter(({ labels }) => labels["region"] === region.region);
      assert.deepEqual(
        new Map(region.worst.map(({ name, health }) => [name, health])),
        new Map(those.map(({ name, health }) => [name, health])),
      );
      const ranks = region.worst.map(({ health }) => health);
      assert.deepEqual(
        ranks,
        ranks.toSorted((a, b) => b - a),
        "the worst first",
      );
      assert.equal(region.silent, ranks.filter((health) => health === ClusterHealth.SILENT).length);
      assert.equal(region.healthy, ranks.filter((health) => health === ClusterHealth.HEALTHY).length);
      const sum = (of: (cluster: Cluster) => number) => those.reduce((total, each) => total + of(each), 0);
      assert.ok(Math.abs(region.eventsPerSecond - sum(perSecond)) < 1e-6);
      assert.equal(region.alerts, BigInt(sum((each) => Number(each.rates?.alerts ?? 0n))));
      assert.equal(region.minutes.length, 2);
    }
    assert.equal(needing.length, 20);
    const silent = listed.filter(({ health }) => health === ClusterHealth.SILENT).length;
    const first = needing.filter(({ health }) => health === ClusterHealth.SILENT).length;
    assert.equal(first, Math.min(silent, 20), "silent ones first");
    assert.ok(needing.every(({ health, healthReason }) => health >= 3 && healthReason !== ""));
  }
  const rows = await listClusters(db, { scope: scopeOf([]), selector: [], includeRetired: false });
  const shown = await toMessages(options, rows, 1, true);
  const left = shown.flatMap((each) => each.agents.flatMap(({ leftAt }) => leftAt ?? []));
  const leftAgo = left.map(({ seconds }) => now.getTime() / 1000 - Number(seconds));
  assert.deepEqual(
    new Set(leftAgo),
    new Set([30, 3_620]),
    "one that was heard of later is not shown as left",
  );
  const nobody = scopeOf([{ key: "team", operator: "in", values: ["nobody"] }]);
  const nothing = await fleetSummary(nobody, create(GetFleetSummaryRequestSchema, {}));
  assert.deepEqual([nothing.regions, nothing.needing], [[], []]);
  const tooMany = create(GetFleetSummaryRequestSchema, { worst: 201 });
  await assert.rejects(fleetSummary(nobody, tooMany), /at most 200/);
});

test("who looks within a moment of somebody else sees the same, and who asks for minutes alone has no cluster counted", async (t) => {
  const db = await freshDatabase(t);
  await store(db);
  const state = { now };
  const fleetSummary = fleetSummaries({ db, now: () => state.now });
  const whole = scopeOf([]);
  const silent = async (scope: Scope) => {
    const { regions } = await fleetSummary(scope, create(GetFleetSummaryRequestSchema, {}));
    return regions.reduce((sum, region) => sum + region.silent, 0);
  };
  const before = await silent(whole);
  assert.ok(before > 1);
  await db.execute(sql`update clusters set retired_at = now()`);
  assert.equal(await silent(whole), before);
  assert.equal(
    await silent(scopeOf([{ key: "team", operator: "exists", values: [] }])),
    0,
    "of another scope",
  );
  state.now = new Date(now.getTime() + 3_000);
  assert.equal(await silent(whole), 0);

  await db.execute(sql`update clusters set retired_at = null`);
  const request = create(GetFleetSummaryRequestSchema, { minutes: 5, onlyMinutes: true });
  const minutesOf = async () =>
    (await fleetSummary(whole, request)).regions.map((each) => [
      each.region,
      each.silent,
      each.minutes.length,
    ]);
  const minutes = [
    ["eu", 0, 2],
    ["us", 0, 2],
  ];
  assert.deepEqual(await minutesOf(), minutes);
  await db.execute(sql`delete from rates`);
  state.now = new Date(state.now.getTime() + 59_999);
  assert.deepEqual(await minutesOf(), minutes);
  state.now = new Date(state.now.getTime() + 1);
  assert.deepEqual(await minutesOf(), []);
});

test("a fleet is counted by looking at each table and each part once, not once for each cluster", async (t) => {
  const db = await freshDatabase(t);
  await store(db);
  await db.execute(sql`analyze`);
  const wish = { scope: scopeOf([]), selector: [], worst: 200, now, ratesSince: ago(180) };
  const { rows } = await db.execute<{ "QUERY PLAN": readonly [{ readonly Plan: PlanNode }] }>(
    sql`explain (analyze, timing off, format json) ${summaryStatement(wish)}`,
  );
  const nodes = partsOf(rows[0]?.["QUERY PLAN"][0].Plan ?? assert.fail());
  const looks = nodes.filter((node) => node["CTE Name"] !== undefined);
  assert.ok(looks.length > 5, "the rule must not pass because it saw nothing");
  assert.deepEqual(
    looks.filter((node) => node["Actual Loops"] > 1).map((node) => node["CTE Name"]),
    [],
  );
});

interface PlanNode {
  readonly "CTE Name"?: string;
  readonly "Actual Loops": number;
  readonly Plans?: readonly PlanNode[];
}

function partsOf(node: PlanNode): readonly PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(partsOf)];
}

function scopeOf(raw: Parameters<typeof parseScope>[1]): Scope {
  const scope = parseScope("scope", raw);
  assert.ok(scope.ok);
  return scope.value;
}

const perSecond = ({ rates: of }: Cluster) => (of === undefined ? 0 : Number(of.events) / of.seconds);
