import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { startPostgres } from "#postgres";

import { parseMatchers, type AlertMatcher } from "../../server/domain/alert-matcher.ts";
import { planBuckets } from "../../server/domain/alert-stats.ts";
import { sentence } from "../../server/domain/refusal.ts";
import { wholeFleet } from "../../server/domain/scope.ts";
import { countAlerts, type AlertGrouping } from "../../server/store/alert-counts.ts";
import { listAlerts } from "../../server/store/alert-pages.ts";
import type { AlertFilter } from "../../server/store/alerts.ts";
import { migrate } from "../../server/store/migrate.ts";
import { openPool, type Database } from "../../server/store/pool.ts";
import { fillAlerts, rareActor } from "./alerts/fill.ts";
import { machineLoad } from "./fleet/processes.ts";
import { median, percentile, rounded } from "./figures.ts";

/**
 * `alerts [--alerts N] [--clusters N] [--days N] [--rounds N]`: a Postgres with that many stored alerts, and what lists and
 * statistics of them take as the server asks for them, over its pool. Baselines are the plainest statements about the same: the newest
 * alert by its index for lists, and a count of the same day by rule over the alerts themselves for statistics.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      alerts: { type: "string", default: "200000" },
      clusters: { type: "string", default: "1000" },
      days: { type: "string", default: "7" },
      rounds: { type: "string", default: "20" },
    },
  });
  const [alerts, clusters, days, rounds] = [values.alerts, values.clusters, values.days, values.rounds].map(
    Number,
  );
  const input = { alerts: alerts ?? 0, clusters: clusters ?? 0, days: days ?? 0 };
  const dir = mkdtempSync(join(tmpdir(), "falconry-alerts-"));
  chmodSync(dir, 0o711); // As root, the database belongs to another account, which has to get there.
  const postgres = await startPostgres({ dir: join(dir, "postgres"), settings });
  try {
    await migrate(postgres.url);
    const begun = performance.now();
    const endMs = Math.floor(Date.now() / 60_000) * 60_000;
    const db = openPool({ url: postgres.url, connectionsMax: 4, onIdleError: () => {} });
    try {
      const bytes = await fillAlerts(db, postgres.url, { ...input, endMs });
      const loadSeconds = rounded((performance.now() - begun) / 1000, 0);
      const loadAfterFilling = machineLoad();
      const figures = await measure(db, endMs, rounds ?? 0);
      const machine = { loadAfterFilling, loadAtTheEnd: machineLoad() };
      return { input: { ...input, rounds, bytes, loadSeconds, ...machine }, ...figures };
    } finally {
      await db.$client.end();
    }
  } finally {
    await postgres.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** As durable as matters for reading, which is what is measured. */
const settings = {
  fsync: "off",
  synchronous_commit: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  shared_buffers: "512MB",
  maintenance_work_mem: "512MB",
  max_wal_size: "8GB",
  autovacuum: "off",
};

const dayMs = 86_400_000;

async function measure(db: Database, endMs: number, rounds: number): Promise<object> {
  const lists = await measureLists(db, endMs, rounds);
  const dayUs = BigInt(endMs - dayMs + 17 * 60_000) * 1000n;
  const bys: readonly AlertGrouping[] = ["rule", "cluster", "priority", "region"];
  const buckets = planBuckets(Number(dayUs / 1000n), endMs, 3_600_000);
  if (!buckets.ok) throw new Error("The buckets of the benchmark are out of bounds");
  const day = { ...everything, sinceUs: dayUs, untilUs: BigInt(endMs) * 1000n };
  const stats: Record<string, object> = {};
  for (const by of bys) {
    stats[`${by}, as a sum`] = figuresOf(await timed(rounds, () => count(db, day, by)));
    stats[`${by}, by hour`] = figuresOf(await timed(rounds, () => count(db, day, by, buckets.value)));
  }
  const narrow: Readonly<Record<string, string>> = {
    "rule, by hour, in a region": "region=region-3",
    "cluster, by hour, of a rule": 'rule="rule 40"',
  };
  for (const [name, text] of Object.entries(narrow)) {
    const by = name.startsWith("rule") ? "rule" : "cluster";
    const filter = { ...day, matchers: matchers(text) };
    stats[name] = figuresOf(await timed(rounds, () => count(db, filter, by, buckets.value)));
  }
  const patterns = (times: number, text: string) =>
    timed(times, () => count(db, { ...day, matchers: matchers(text) }, "rule", buckets.value)).then(
      figuresOf,
      (error: unknown) => ({ refused: String(error) }),
    );
  stats["rule, by hour, pattern of users"] = await patterns(rounds, 'ka.user.name=~"user-1.*"');
  // Said at once, because what follows looks at each alert of the day, and a busy machine may not do that within a statement's time.
  process.stderr.write(`${JSON.stringify({ lists, stats })}\n`);
  const inRegions = 'ka.user.name=~"user-1.*",region=~"region-[0-4]"';
  stats["rule, by hour, pattern of users, half of all regions"] = await patterns(2, inRegions);
  stats["rule, by hour, pattern of words"] = await patterns(2, "output=~`.*(names|pods).*`");
  const few = Math.min(rounds, 5);
  const since = new Date(Number(dayUs / 1000n));
  const plain = await timed(few, () =>
    db.$client.query("select rule, count(*) from alerts where time >= $1 group by 1", [since]),
  );
  const byRule = await timed(few, () => count(db, day, "rule", buckets.value));
  const timesOfStats = rounded(median(plain) / median(byRule), 1);
  return {
    listMs: lists,
    statsOfADayMs: stats,
    baseline: { plainCountOfADayMs: figuresOf(plain), timesOfStats },
  };
}

/** What is refused is no figure. */
async function count(db: Database, ...asked: Asked): Promise<void> {
  const counted = await countAlerts(db, ...asked);
  if (!counted.ok) throw new Error(sentence(counted.refusal));
}

type Asked = Parameters<typeof countAlerts> extends [unknown, ...infer Rest] ? Rest : never;

/** Each call begins somewhere else in the newest two days, as somebody who turns pages does; deep pages in the oldest. */
async function measureLists(db: Database, endMs: number, rounds: number): Promise<object> {
  const lists: Readonly<Record<string, Partial<AlertFilter>>> = {
    newest: {},
    deep: {},
    rule: { matchers: matchers('rule="rule 40"') },
    cluster: { matchers: matchers("cluster=c-77") },
    "rule of a cluster": { matchers: matchers('rule="rule 40",cluster=c-77') },
    region: { matchers: matchers("region=region-3") },
    "half of all regions": { matchers: matchers('region=~"region-[0-4]"') },
    "severe in a day": {
      matchers: matchers("priority>=critical"),
      sinceUs: BigInt(endMs - dayMs) * 1000n,
    },
    tag: { tags: ["T1609"] },
    "rare actor": { matchers: matchers(`actor="${rareActor}"`) },
    "pattern of a field": { matchers: matchers('ka.user.name=~"user-1[0-9]"') },
    "pattern in a region": { matchers: matchers('region=region-3,ka.user.name=~"user-1[0-9]"') },
  };
  const shown: Record<string, object> = {};
  const all: number[] = [];
  for (const [name, filter] of Object.entries(lists)) {
    const times = await timed(rounds, async (i) => {
      const part = i / Math.max(1, rounds);
      const back =
        name === "severe in a day" ? part * dayMs : (name === "deep" ? 4 + part : 2 * part) * dayMs;
      const before = { timeUs: BigInt(Math.round(endMs - back)) * 1000n, id: "f".repeat(64), clusterId: "z" };
      await listAlerts(db, { ...everything, ...filter }, 50, name !== "deep" && i === 0 ? undefined : before);
    });
    all.push(...times);
    shown[name] = figuresOf(times);
  }
  const plain = await timed(rounds, () =>
    db.$client.query("select * from alerts order by time desc, id desc limit 50"),
  );
  return {
    all: figuresOf(all),
    ...shown,
    plainNewest: figuresOf(plain),
    timesOfPlain: rounded(median(all) / median(plain), 1),
  };
}

const everything: AlertFilter = { scope: wholeFleet, selector: [], rules: [], tags: [], matchers: [] };

function matchers(text: string): readonly AlertMatcher[] {
  const parsed = parseMatchers("matchers", text);
  if (!parsed.ok) throw new Error(`The benchmark's matchers "${text}" cannot be read`);
  return parsed.value;
}

async function timed(rounds: number, work: (i: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < rounds; i += 1) {
    const begun = performance.now();
    await work(i);
    times.push(performance.now() - begun);
  }
  return times;
}

function figuresOf(times: readonly number[]): object {
  return {
    median: rounded(median(times), 1),
    p99: rounded(percentile(times, 0.99), 1),
    max: rounded(Math.max(...times), 1),
  };
}
