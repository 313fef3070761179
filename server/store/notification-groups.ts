import { and, asc, eq, lte, sql, type SQL } from "./drizzle.ts";

import type { Group } from "../domain/notify/group.ts";
import { param } from "./assignments.ts";
import type { Db, Transaction } from "./pool.ts";
import { notificationGroups } from "./schema.ts";

type Row = typeof notificationGroups.$inferSelect;

/** A group with the place where it is kept. */
export interface KeptGroup {
  readonly route: string;
  readonly key: string;
  readonly group: Group;
}

function toGroup({ route, key, labels, entries, leftOut, sentAt }: Row): KeptGroup {
  const sent = sentAt === null ? {} : { sentMs: sentAt.getTime() };
  return { route, key, group: { labels, entries, leftOut: Number(leftOut), ...sent } };
}

/** Groups by their places, and all that hold states; locked, in one order, so that nobody waits in a circle. */
export async function lockGroups(
  tx: Transaction,
  places: readonly Pick<KeptGroup, "route" | "key">[],
  withStates: boolean,
): Promise<readonly KeptGroup[]> {
  const json = JSON.stringify(places.map(({ route, key }) => ({ route, key })));
  const named = sql`(${notificationGroups.route}, ${notificationGroups.key}) in (
    select x.route, x.key from jsonb_to_recordset(${json}::jsonb) as x (route text, key text))`;
  const stateful = sql`${notificationGroups.entries} @> '[{"kind":"state"}]'::jsonb`;
  return locked(tx, withStates ? sql`(${named} or ${stateful})` : named);
}

async function locked(tx: Transaction, where: SQL): Promise<readonly KeptGroup[]> {
  const rows = await tx
    .select()
    .from(notificationGroups)
    .where(where)
    .orderBy(asc(notificationGroups.route), asc(notificationGroups.key))
    .for("update");
  return rows.map(toGroup);
}

/** How many groups each route has. */
export async function countGroups(db: Db): Promise<ReadonlyMap<string, number>> {
  const { rows } = await db.execute<{ route: string; count: number }>(
    sql`select route, count(*)::int as count from notification_groups group by route`,
  );
  return new Map(rows.map(({ route, count }) => [route, count]));
}

/** Keeps a group, and when to look at it next. */
export async function saveGroup(
  tx: Transaction,
  { route, key, group }: KeptGroup,
  due: Date,
  now: Date,
): Promise<void> {
  const { labels, entries, leftOut, sentMs } = group;
  const set = {
    labels,
    entries,
    leftOut: BigInt(leftOut),
    sentAt: sentMs === undefined ? null : new Date(sentMs),
    dueAt: due,
  };
  await tx
    .insert(notificationGroups)
    .values({ route, key, createdAt: now, ...set })
    .onConflictDoUpdate({ target: [notificationGroups.route, notificationGroups.key], set });
}

export async function removeGroup(
  tx: Transaction,
  { route, key }: Pick<KeptGroup, "route" | "key">,
): Promise<void> {
  await tx
    .delete(notificationGroups)
    .where(and(eq(notificationGroups.route, route), eq(notificationGroups.key, key)));
}

/** Groups that are to be looked at, those that another server looks at left out. */
export async function takeDueGroups(tx: Transaction, now: Date, max: number): Promise<readonly KeptGroup[]> {
  const rows = await tx
    .select()
    .from(notificationGroups)
    .where(lte(notificationGroups.dueAt, now))
    .orderBy(asc(notificationGroups.dueAt))
    .limit(max)
    .for("update", { skipLocked: true });
  return rows.map(toGroup);
}

/** Has the groups that hold such alerts looked at now. */
export async function wakeGroups(tx: Transaction, alertGroups: readonly string[], now: Date): Promise<void> {
  // In the order in which all lock them.
  await tx.execute(sql`
    update notification_groups set due_at = least(due_at, ${now.toISOString()}::timestamptz) where (route, key) in (
      select route, key from notification_groups where exists (
        select from jsonb_array_elements(entries) e where e -> 'alert' ->> 'groupId' = any(${param(alertGroups)}::text[]))
      order by route, key for update)`);
}
