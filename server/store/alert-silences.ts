import {
  compileMatchers,
  namesGroupsAlone,
  parseMatchers,
  type AlertFacts,
} from "../domain/alert-matcher.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { inScope, isWithin, type Scope } from "../domain/scope.ts";
import { alertSilences } from "./alert-schema.ts";
import { param } from "./assignments.ts";
import type { AuditNote } from "./audit-entries.ts";
import { nextChange } from "./columns.ts";
import { and, desc, eq, gt, isNull, lt, or, sql, type SQL } from "./drizzle.ts";
import type { Database, Db, Transaction } from "./pool.ts";
import type { Labels } from "./schema.ts";

export type SilenceRow = typeof alertSilences.$inferSelect;

/** A silence that holds, ready to be asked. */
export interface Silence {
  readonly id: string;
  readonly expiresAt: Date;
  readonly meets: (facts: AlertFacts) => boolean;
  /** It asks for nothing that single alerts of one rule, cluster and user differ in: it can be asked about all of them together. */
  readonly isBroad: boolean;
}

/** Silences that hold at the same time. */
export const silencesMax = 500;

const holding = (now: Date) => and(isNull(alertSilences.removedAt), gt(alertSilences.expiresAt, now));

/**
 * When the mark of a group `g` ends; null for one of a silence that was removed. A batch that was under way meanwhile leaves
 * such a mark behind, so a mark counts only as long as its silence is there.
 */
export const silencedUntil = sql`(case when exists (select 1 from alert_silences s
  where s.id = g.silence_id and s.removed_at is null) then g.silenced_until end)`;

/** Those that hold, the one that ends last first: it is the one that an alert is marked with. */
export async function listHoldingSilences(db: Db, now: Date): Promise<readonly Silence[]> {
  const rows = await db
    .select()
    .from(alertSilences)
    .where(holding(now))
    .orderBy(desc(alertSilences.expiresAt), alertSilences.id)
    .limit(silencesMax);
  return rows.map(toSilence);
}

function toSilence({ id, expiresAt, matchers, scope }: SilenceRow): Silence {
  const parsed = parseMatchers("matchers", matchers);
  // What a newer server stored and this one cannot read silences nothing here.
  const meets = parsed.ok ? compileMatchers(parsed.value) : () => false;
  const isBroad = parsed.ok && namesGroupsAlone(parsed.value);
  return { id, expiresAt, meets: (facts) => inScope(scope, facts.labels) && meets(facts), isBroad };
}

/** A silence with the number of groups that it marks. */
export interface ShownSilence extends SilenceRow {
  readonly groups: bigint;
}

/** Newest first, without those that reach clusters outside of the scope. */
export async function listSilences(
  db: Db,
  scope: Scope,
  now: Date,
  hasEnded: boolean,
): Promise<readonly ShownSilence[]> {
  const rows = await db
    .select()
    .from(alertSilences)
    .where(hasEnded ? undefined : holding(now))
    .orderBy(desc(alertSilences.createdAt), alertSilences.id)
    .limit(4 * silencesMax);
  const seen = rows.filter((row) => isWithin(row.scope, scope)).slice(0, silencesMax);
  return withGroups(db, seen);
}

async function withGroups(db: Db, rows: readonly SilenceRow[]): Promise<readonly ShownSilence[]> {
  const found = await db.execute<{ id: string; count: string }>(sql`
    select silence_id as id, count(*) as count from alert_groups
    where silence_id = any(${param(rows.map(({ id }) => id))}::text[]) group by 1`);
  const counts = new Map(found.rows.map(({ id, count }) => [id, BigInt(count)]));
  return rows.map((row) => ({ ...row, groups: counts.get(row.id) ?? 0n }));
}

/** Begins a silence and marks the groups that it meets. */
export async function addSilence(
  db: Database,
  silence: typeof alertSilences.$inferInsert,
  note: AuditNote,
): Promise<Outcome<ShownSilence>> {
  const now = silence.createdAt;
  return db.transaction(async (tx) => {
    await lockSilences(tx);
    if ((await tx.$count(alertSilences, holding(now))) >= silencesMax) {
      return refuse({ kind: "over-limit", why: `${silencesMax} silences hold: remove one first` });
    }
    const [row] = await tx.insert(alertSilences).values(silence).returning();
    if (row === undefined) throw new Error("An insert answered without its row");
    // As alerts are marked: by the silence that ends last.
    const only = sql`coalesce(${silencedUntil} <= ${row.expiresAt.toISOString()}::timestamptz, true)`;
    await markGroups(tx, [toSilence(row)], { only, unmarks: false });
    await note(tx, { target: row.id });
    return accept((await withGroups(tx, [row]))[0] ?? { ...row, groups: 0n });
  });
}

/** Ends a silence; what it marked is marked by another one that meets it, or not at all. */
export async function removeSilence(
  db: Database,
  scope: Scope,
  id: string,
  by: { readonly name: string; readonly at: Date },
  note: AuditNote,
): Promise<Outcome<ShownSilence>> {
  return db.transaction(async (tx) => {
    await lockSilences(tx);
    const [found] = await tx.select().from(alertSilences).where(eq(alertSilences.id, id));
    if (found === undefined || !isWithin(found.scope, scope)) {
      return refuse({ kind: "not-found", what: "silence", id: id.slice(0, 80) });
    }
    if (found.removedAt !== null || found.expiresAt <= by.at) {
      return refuse({ kind: "precondition", why: `The silence ${found.id} is over` });
    }
    const [row] = await tx
      .update(alertSilences)
      .set({ removedAt: by.at, removedBy: by.name, changed: nextChange() })
      .where(eq(alertSilences.id, found.id))
      .returning();
    if (row === undefined) throw new Error("An update answered without its row");
    const only = sql`g.silence_id = ${row.id}`;
    await markGroups(tx, await listHoldingSilences(tx, by.at), { only, unmarks: true });
    await note(tx, { target: row.id });
    return accept({ ...row, groups: 0n });
  });
}

/** Silences that ended so long ago are nobody's business any more. */
export async function removeOldSilences(db: Db, before: Date): Promise<number> {
  const gone = await db
    .delete(alertSilences)
    .where(or(lt(alertSilences.removedAt, before), lt(alertSilences.expiresAt, before)));
  return gone.rowCount ?? 0;
}

/** One writer at a time, so that the number of the last change never grows without showing all changes before it. */
async function lockSilences(tx: Transaction): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('falconry silences', 0))`);
}

type MarkRow = {
  id: string;
  rule: string;
  priority: number;
  source: string;
  tags: readonly string[];
  actor: string;
  cluster: string;
  labels: Labels;
  fields: Readonly<Record<string, unknown>>;
  output: string | null;
};

const markBatch = 2_000;

interface Marking {
  /** The groups `g` that are looked at. */
  readonly only: SQL;
  /** Whether those that no silence meets lose their mark. */
  readonly unmarks: boolean;
}

/** Marks groups by their newest alert, each with the first of the silences that meets it. */
async function markGroups(
  tx: Transaction,
  silences: readonly Silence[],
  { only, unmarks }: Marking,
): Promise<void> {
  for (let after = ""; ;) {
    const { rows } = await tx.execute<MarkRow>(sql`
      select g.id, g.rule, g.priority, g.source, g.tags, g.actor, c.name as cluster, c.labels, g.fields,
        g.samples -> 0 ->> 'output' as output
      from alert_groups g join clusters c on c.id = g.cluster_id
      where g.id > ${after} and ${only}
      order by g.id limit ${markBatch}`);
    const marks = rows.flatMap((row) => {
      const met = silences.find((silence) => silence.meets({ ...row, output: row.output ?? "" }));
      return met === undefined && !unmarks ? [] : [{ id: row.id, met }];
    });
    await storeMarks(tx, marks);
    const last = rows.at(-1);
    if (last === undefined || rows.length < markBatch) return;
    after = last.id;
  }
}

async function storeMarks(
  tx: Transaction,
  marks: readonly { readonly id: string; readonly met: Silence | undefined }[],
): Promise<void> {
  if (marks.length === 0) return;
  // Locked in the order in which batches of alerts lock them.
  await tx.execute(sql`
    with held as (select id from alert_groups where id = any(${param(marks.map(({ id }) => id))}::text[])
      order by id for no key update)
    update alert_groups g set silence_id = x.silence, silenced_until = x.until
    from (select * from unnest(${param(marks.map(({ id }) => id))}::text[],
      ${param(marks.map(({ met }) => met?.id ?? null))}::text[],
      ${param(marks.map(({ met }) => met?.expiresAt.toISOString() ?? null))}::timestamptz[]) as x (id, silence, until)
    ) x join held using (id) where g.id = x.id`);
}
