import { Client } from "pg";

import { countActors } from "../../../server/store/alert-actors.ts";
import { totalsOf } from "../../../server/store/alert-intake.ts";
import { drizzle, sql } from "../../../server/store/drizzle.ts";
import type { Database } from "../../../server/store/pool.ts";

/** Has one alert in a hundred thousand. */
export const rareActor = "mallory";

export interface Fill {
  readonly alerts: number;
  readonly clusters: number;
  readonly days: number;
  /** The newest alert is of this time. */
  readonly endMs: number;
}

/**
 * Stores alerts by SQL: spread evenly over the days, over clusters in ten regions, and over 73 rules and 200 users of which the first are
 * much more frequent. Two connections do a day each, into partitions that are not written to the log (who only reads notices nothing of it);
 * counted hours are made from the alerts, indexes afterwards. Answers with the bytes of it all.
 */
export async function fillAlerts(db: Database, url: string, fill: Fill): Promise<number> {
  const { clusters, days, endMs } = fill;
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    select 'cl_' || n, 'c-' || n, 'uid-' || n, jsonb_build_object('region', 'region-' || n % 10), now()
    from generate_series(0, ${clusters - 1}::int) n`);
  await makeDays(db, endMs, days);
  const indexes = await takeIndexes(db);
  const firstMs = endMs - days * dayMs;
  await inTwo(
    url,
    Array.from({ length: days }, (_, day) => (client: Client) => fillDay(client, fill, firstMs, day)),
  );
  say("alerts are there");
  // Hours belong to days of the calendar, of which there is one more.
  const firstDay = Math.floor(firstMs / dayMs);
  await inTwo(
    url,
    Array.from({ length: days + 1 }, (_, n) => (client: Client) => countDay(client, (firstDay + n) * dayMs)),
  );
  await inTwo(url, [
    async (client: Client) => {
      await drizzle(client).execute(sql`insert into alert_totals ${totalsOf(sql`alert_hours`)}`);
    },
  ]);
  say("hours are counted");
  await inTwo(
    url,
    indexes.map((text) => async (client: Client) => {
      await client.query(text);
    }),
  );
  say("indexes are there");
  // As servers do it, with the hours that are over.
  const over = { to: new Date(Math.floor(endMs / hourMs) * hourMs) };
  while ((await countActors(db, over)).counted > 0);
  say("actors are counted");
  await inTwo(
    url,
    tables.map((table) => async (client: Client) => {
      await client.query(`analyze ${table}`);
    }),
  );
  const { rows } = await db.execute<{ bytes: string }>(
    sql`select pg_database_size(current_database()) as bytes`,
  );
  return Number(rows[0]?.bytes);
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const tables = ["alerts", "alert_hours", "alert_totals", "alert_actor_hours"] as const;

function say(what: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${what}\n`);
}

/** Does pieces of work on two connections: as many as a small machine has cores. */
async function inTwo(url: string, pieces: readonly ((client: Client) => Promise<void>)[]): Promise<void> {
  const left = [...pieces];
  const both = [0, 1].map(async () => {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      await client.query("set work_mem = '256MB'");
      for (let piece = left.shift(); piece !== undefined; piece = left.shift()) await piece(client);
    } finally {
      await client.end();
    }
  });
  await Promise.all(both);
}

async function makeDays(db: Database, endMs: number, days: number): Promise<void> {
  for (let n = Math.floor(endMs / dayMs) - days; n <= Math.floor(endMs / dayMs); n += 1) {
    const [from, to] = [n, n + 1].map((day) => new Date(day * dayMs).toISOString().slice(0, 10));
    for (const table of tables) {
      await db.execute(
        sql.raw(`create unlogged table ${table}_${from?.replaceAll("-", "")} partition of ${table}
          for values from ('${from} 00:00:00+00') to ('${to} 00:00:00+00')`),
      );
    }
  }
}

/** Removes the indexes of alerts and counted hours, and answers with what makes them again on each of their partitions. */
async function takeIndexes(db: Database): Promise<readonly string[]> {
  const { rows } = await db.execute<{ name: string; of: string; is_key: boolean; text: string }>(sql`
    select i.indexrelid::regclass::text as name, i.indrelid::regclass::text as of, i.indisprimary as is_key,
      pg_get_indexdef(i.indexrelid) as text
    from pg_index i where i.indrelid in ('alerts'::regclass, 'alert_hours'::regclass)`);
  for (const { name, of, is_key: isKey } of rows) {
    await db.execute(sql.raw(isKey ? `alter table ${of} drop constraint ${name}` : `drop index ${name}`));
  }
  return rows.map(({ text }) => text.replace("ON ONLY", "ON"));
}

async function fillDay(
  client: Client,
  { alerts, clusters, days }: Fill,
  firstMs: number,
  day: number,
): Promise<void> {
  const count = Math.ceil(alerts / days);
  await client.query(`
    insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source, output, body, audit_id, tags,
      rules_digest, actor, fields)
    select encode(sha256(int4send(${day}) || int4send(n)), 'hex'), at, at, 'cl_' || cluster, 'ag_' || cluster, 'rule ' || rule,
      2 + rule % 6, 'k8s_audit', words, '{"output":"' || words || '","output_fields":{"ka.user.name":"' || actor || '"}}',
      '0f2c' || n, array['k8s', 'T16' || lpad('' || rule % 20, 2, '0')], 'sha256:0', actor,
      jsonb_build_object('ka.user.name', actor, 'ka.target.name', 'pod-' || n % 5000,
      'ka.target.namespace', 'ns-' || n % 40, 'ka.verb', 'create')
    from (
      select n, to_timestamp(${(firstMs + day * dayMs) / 1000} + n * 86400.0 / ${count}) as at,
        (random() * ${clusters - 1})::int as cluster, floor(power(random(), 3) * 73)::int as rule,
        case when n % 100000 = 7 then '${rareActor}' else 'user-' || floor(power(random(), 3) * 200)::int end as actor,
        'Something that a rule of the starter pack says about a request, with names, namespaces and addresses in it' as words
      from generate_series(0, ${count - 1}) n
    ) x`);
}

async function countDay(client: Client, fromMs: number): Promise<void> {
  await client.query(
    `insert into alert_hours (hour, cluster_id, rule, priority, count, last_at, received_at)
    select date_bin('1 hour', time, timestamptz 'epoch'), cluster_id, rule, priority, count(*), max(time), max(received_at)
    from alerts where time >= $1 and time < $2 group by 1, 2, 3, 4`,
    [new Date(fromMs), new Date(fromMs + dayMs)],
  );
}
