import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import * as fc from "fast-check";
import { pino } from "pino";

import { defaultIntakeBounds } from "../../server/domain/alert-intake.ts";
import { compileMatchers, parseMatchers } from "../../server/domain/alert-matcher.ts";
import { planBuckets } from "../../server/domain/alert-stats.ts";
import { wholeFleet } from "../../server/domain/scope.ts";
import { keepPartitions } from "../../server/reconcile/partitions.ts";
import { createAlertTaker } from "../../server/sessions/take-alerts.ts";
import { countAlerts, type AlertGrouping, type CountBounds } from "../../server/store/alert-counts.ts";
import type { AlertRow } from "../../server/store/alert-intake.ts";
import type { AlertFilter } from "../../server/store/alerts.ts";
import { sql } from "../../server/store/drizzle.ts";
import type { Database } from "../../server/store/pool.ts";
import { freshDatabase } from "./postgres.ts";

export const firstMs = Date.UTC(2026, 8, 21, 22);
export const now = new Date(firstMs + 6 * 3_600_000);
export const everything: AlertFilter = { scope: wholeFleet, selector: [], rules: [], tags: [], matchers: [] };
export const clusters = ["a", "b", "c", "d", "e", "f"].map((name, i) => ({
  id: `cl_${name}`,
  name,
  labels: { region: `r${i % 2}` },
}));
export const actors = ["alice", "bob", "mallory"];

/** A made-up alert: of one of few clusters, rules and actors, in one of six hours. */
export const alertMade = fc.record({
  cluster: fc.nat({ max: clusters.length - 1 }),
  rule: fc.nat({ max: 3 }),
  actor: fc.nat({ max: actors.length - 1 }),
  // So few different times that many alerts share one.
  minute: fc.nat({ max: 60 }).map((n) => n * 6),
});
type AlertMade = typeof alertMade extends fc.Arbitrary<infer T> ? T : never;

export function rowOf({ cluster, rule, actor, minute }: AlertMade, n: number): AlertRow {
  const clusterId = clusters[cluster]?.id ?? "";
  const words = { agentId: "ag_1", source: "k8s_audit", output: "o", body: "{}", auditId: "", tags: [] };
  return {
    ...words,
    id: n.toString(16).padStart(64, "0"),
    timeUs: BigInt(firstMs + minute * 60_000 + 59_999) * 1000n,
    clusterId,
    rule: `rule ${rule}`,
    priority: 3 + rule,
    rulesDigest: `sha256:${"a".repeat(64)}`,
    actor: actors[actor] ?? "",
    fields: {},
  };
}

/** A store with some clusters, and what delivers their alerts. */
export async function openStore(t: TestContext, storedPerHourMax = defaultIntakeBounds.storedPerHourMax) {
  const db = await freshDatabase(t);
  for (const { id, name, labels } of clusters) {
    await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
      values (${id}, ${name}, ${id}, ${JSON.stringify(labels)}::jsonb, ${now.toISOString()})`);
  }
  const take = createAlertTaker(db, { ...defaultIntakeBounds, storedPerHourMax });
  const deliver = async (rows: readonly AlertRow[]) => {
    for (const { id } of clusters) {
      await take(
        id,
        rows.filter(({ clusterId }) => clusterId === id),
        now,
      );
    }
  };
  return { db, deliver };
}

export function filterOf(text: string): AlertFilter {
  const parsed = parseMatchers("matchers", text);
  assert.ok(parsed.ok);
  return { ...everything, matchers: parsed.value };
}

/** What a filter leaves of rows, newest first, decided without a database. */
export function met(rows: readonly AlertRow[], { matchers }: AlertFilter): readonly AlertRow[] {
  const test = compileMatchers(matchers);
  const meets = (row: AlertRow) => {
    const { name = "", labels = {} } = clusters.find(({ id }) => id === row.clusterId) ?? {};
    return test({ ...row, cluster: name, labels });
  };
  const key = ({ timeUs, id, clusterId }: AlertRow) => `${timeUs} ${id} ${clusterId}`;
  return rows.filter(meets).toSorted((one, other) => (key(one) < key(other) ? 1 : -1));
}

export const filters = [
  "",
  'rule="rule 1"',
  "cluster=a",
  "region=r1",
  'rule="rule 1", cluster=b',
  'rule="rule 2", region=r0',
  "actor=mallory",
  "actor=mallory, region=r1",
  'actor=~"mal.*"',
  'actor=~"mal.*", cluster=c',
  "priority>=error",
  'cluster=~"a|b|c|d|e"',
].map(filterOf);

/** What keeps the tables of a store, with alerts of three days. */
export function keeperOf(db: Database, clock: () => Date = () => now) {
  const log = pino({ level: "silent" });
  return keepPartitions({ db, keepDays: { alerts: 3, rates: 3 }, now: clock, log });
}

const valueOf = {
  rule: ({ rule }: AlertRow) => rule,
  priority: ({ priority }: AlertRow) => `${priority}`,
  cluster: ({ clusterId }: AlertRow) => clusters.find(({ id }) => id === clusterId)?.name ?? "",
  region: ({ clusterId }: AlertRow) => clusters.find(({ id }) => id === clusterId)?.labels.region ?? "",
};

/** Holds statistics of some minutes, in parts of time, against counts of the rows that are stored. */
export async function sameCounts(
  db: Database,
  stored: readonly AlertRow[],
  filter: AlertFilter,
  [from, to]: readonly [number, number],
  bys: readonly AlertGrouping[],
  bounds?: CountBounds,
): Promise<void> {
  const [sinceMs, untilMs] = [firstMs + from * 60_000, firstMs + to * 60_000];
  const buckets = planBuckets(sinceMs, untilMs, from === 60 ? 7_200_000 : 3_600_000);
  assert.ok(buckets.ok);
  const { firstMs: first, everyMs, count } = buckets.value;
  for (const by of bys) {
    const range = { sinceUs: BigInt(sinceMs) * 1000n, untilUs: BigInt(untilMs) * 1000n };
    const counted = await countAlerts(db, { ...filter, ...range }, by, buckets.value, bounds);
    assert.ok(counted.ok);
    const wanted = new Map<string, number[]>();
    for (const row of met(stored, filter)) {
      const ms = Number(row.timeUs / 1000n);
      if (ms < sinceMs || ms >= untilMs) continue;
      const parts = wanted.get(valueOf[by](row)) ?? Array.from({ length: count }, () => 0);
      const at = Math.floor((ms - first) / everyMs);
      parts[at] = (parts[at] ?? 0) + 1;
      wanted.set(valueOf[by](row), parts);
    }
    const found = counted.value.counts.map((each) => [each.value, each.buckets.map(Number)] as const);
    const what = JSON.stringify([filter.matchers, from, to, by]);
    assert.deepEqual(Object.fromEntries(found), Object.fromEntries(wanted), what);
  }
}
