import { sql, type SQL } from "./drizzle.ts";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { Selector } from "../domain/selector.ts";
import { param } from "./assignments.ts";
import type { AuditNote } from "./audit-entries.ts";
import type { Database, Db } from "./pool.ts";
import { responses } from "./response-schema.ts";
import { labelsIn } from "./scopes.ts";
import { whereLabels } from "./selectors.ts";

/** What an agent did about an alert, as stored. */
export type ResponseRow = typeof responses.$inferInsert;

/** The same as it is read, with the cluster's name. */
export type StoredResponse = Omit<ResponseRow, "record" | "signature"> & { readonly clusterName: string };

/** A cluster tells this much within an hour; its agents' own bounds are far below. */
const perHourMax = 1_000;
const hourMs = 3_600_000;

/**
 * Stores what is not there yet, and writes each of it into the audit log: both or none. Repeating it, also within a call,
 * changes nothing. One call of a cluster at a time, so that all of them together keep to the bound.
 */
export async function storeResponses(
  db: Database,
  clusterId: string,
  rows: readonly ResponseRow[],
  noteOf: (row: ResponseRow) => AuditNote,
  now: Date,
): Promise<Outcome<number>> {
  if (rows.length === 0) return accept(0);
  const once = [...Map.groupBy(rows, keyOfRow).values()].flatMap(([first]) => first ?? []);
  return db.transaction(async (tx) => {
    await tx.execute(
      sql`select pg_advisory_xact_lock(hashtextextended(${`falconry responses ${clusterId}`}, 0))`,
    );
    const since = new Date(now.getTime() - hourMs).toISOString();
    const { rows: found } = await tx.execute<{ count: string }>(sql`
      select count(*) as count from responses
      where cluster_id = ${clusterId} and received_at > ${since}::timestamptz`);
    if (Number(found[0]?.count ?? 0) + once.length > perHourMax) {
      const why = `Cluster ${clusterId} has told of ${perHourMax} responses within an hour; the rest waits`;
      return refuse({ kind: "over-limit", why, retryAfterMs: hourMs / 12 });
    }
    const stored = await tx
      .insert(responses)
      .values(once)
      .onConflictDoNothing()
      .returning({ alertId: responses.alertId, response: responses.response });
    const added = new Set(stored.map(keyOfRow));
    for (const row of once.filter((each) => added.has(keyOfRow(each)))) await noteOf(row)(tx);
    return accept(rows.length);
  });
}

/** What tells apart the responses of one cluster. */
function keyOfRow({ alertId, response }: Pick<ResponseRow, "alertId" | "response">): string {
  return `${alertId} ${response}`;
}

export interface ResponseFilter {
  /** The clusters that exist for whoever asks. */
  readonly scope: Scope;
  readonly selector: Selector;
  readonly alertId: string;
  readonly outcomes: readonly string[];
  readonly since?: Date;
}

/** Where a page ended: milliseconds since 1970, and what tells apart what came at the same time. */
export interface ResponsePosition {
  readonly receivedMs: number;
  readonly key: string;
}

/** Newest first. */
export async function listResponses(
  db: Db,
  filter: ResponseFilter,
  size: number,
  before?: ResponsePosition,
): Promise<readonly StoredResponse[]> {
  const terms = [labelsIn(filter.scope, "c"), whereLabels(sql`c.labels`, filter.selector)];
  if (filter.alertId !== "") terms.push(sql`r.alert_id = ${filter.alertId}`);
  if (filter.outcomes.length > 0) terms.push(sql`r.outcome = any(${param(filter.outcomes)}::text[])`);
  if (filter.since !== undefined) {
    terms.push(sql`r.received_at >= ${filter.since.toISOString()}::timestamptz`);
  }
  if (before !== undefined) {
    const at = new Date(before.receivedMs).toISOString();
    terms.push(sql`(r.received_at, ${keyOf}) < (${at}::timestamptz, ${before.key})`);
  }
  // The server's clock gave whole milliseconds, so that positions need no rounding, which no index knows.
  const order = sql`order by r.received_at desc, ${keyOf} desc limit ${size}`;
  return read(db, sql`${sql.join(terms, sql` and `)} ${order}`);
}

const keyOf = sql`r.cluster_id || ' ' || r.alert_id || ' ' || r.response`;

/** What was done about some alerts, in no order. */
export async function listResponsesTo(
  db: Db,
  alertIds: readonly string[],
): Promise<readonly StoredResponse[]> {
  if (alertIds.length === 0) return [];
  return read(db, sql`r.alert_id = any(${param(alertIds)}::text[])`);
}

async function read(db: Db, where: SQL): Promise<readonly StoredResponse[]> {
  const { rows } = await db.execute<Record<string, unknown> & ReadRow>(sql`
    select r.cluster_id as "clusterId", c.name as "clusterName", r.alert_id as "alertId", r.response,
      r.agent_id as "agentId", r.rule, r.action, r.namespace, r.pod, r.outcome, r.why, r.rules_digest as "rulesDigest",
      (extract(epoch from r.decided_at) * 1000)::float8 as "decidedMs",
      (extract(epoch from r.received_at) * 1000)::float8 as "receivedMs"
    from responses r join clusters c on c.id = r.cluster_id where ${where}`);
  return rows.map(({ decidedMs, receivedMs, ...row }) => ({
    ...row,
    decidedAt: new Date(decidedMs),
    receivedAt: new Date(receivedMs),
  }));
}

type ReadRow = Omit<StoredResponse, "decidedAt" | "receivedAt"> & {
  readonly decidedMs: number;
  readonly receivedMs: number;
};

const removedAtOnce = 10_000;

/** Forgets all that came before, so many rows at once that nobody waits long for a lock. */
export async function removeOldResponses(db: Db, before: Date): Promise<void> {
  const old = sql`select ctid from responses where received_at < ${before.toISOString()}::timestamptz limit ${removedAtOnce}`;
  let removed: number;
  do {
    const gone = await db.execute(sql`delete from responses where ctid = any(array(${old}))`);
    removed = gone.rowCount ?? 0;
  } while (removed === removedAtOnce);
}
