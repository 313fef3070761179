import { asc, eq, sql } from "./drizzle.ts";

import type { Route } from "../domain/notify/route.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { AuditNote } from "./audit-entries.ts";
import { uniqueViolation, type Database, type Db } from "./pool.ts";
import { notificationReceivers, notificationRoutes } from "./schema.ts";

export type RouteRow = typeof notificationRoutes.$inferSelect;

export const routesMax = 100;

/** Adds a route after all others. */
export async function addRoute(
  db: Database,
  route: Route,
  made: { readonly now: Date; readonly by: string },
  note: AuditNote,
): Promise<Outcome<RouteRow>> {
  try {
    return await db.transaction(async (tx) => {
      const [receiver] = await tx
        .select({ name: notificationReceivers.name })
        .from(notificationReceivers)
        .where(eq(notificationReceivers.name, route.receiver))
        .for("update");
      if (receiver === undefined) return refuse({ kind: "not-found", what: "receiver", id: route.receiver });
      const [counted] = await tx.select({ count: sql<number>`count(*)::int` }).from(notificationRoutes);
      const count = counted?.count ?? 0;
      if (count >= routesMax) return refuse({ kind: "over-limit", why: `There are ${count} routes` });
      const [row] = await tx
        .insert(notificationRoutes)
        .values({ ...route, groupBy: [...route.groupBy], createdAt: made.now, createdBy: made.by })
        .returning();
      if (row === undefined) throw new Error("An insert answered without its row");
      await note(tx, { target: row.name });
      return accept(row);
    });
  } catch (error) {
    if (uniqueViolation(error) === undefined) throw error;
    const why = "remove it first, or take another name";
    return refuse({ kind: "already-exists", what: "route", id: route.name, why });
  }
}

/** In the order in which they are asked. */
export async function listRoutes(db: Db): Promise<readonly RouteRow[]> {
  return db.select().from(notificationRoutes).orderBy(asc(notificationRoutes.position)).limit(routesMax);
}

/** Removes a route with what it was gathering. */
export async function removeRoute(db: Database, name: string, note: AuditNote): Promise<Outcome<true>> {
  return db.transaction(async (tx) => {
    const gone = await tx
      .delete(notificationRoutes)
      .where(eq(notificationRoutes.name, name))
      .returning({ name: notificationRoutes.name });
    if (gone.length === 0) return refuse({ kind: "not-found", what: "route", id: name.slice(0, 80) });
    await note(tx, { target: name });
    return accept(true);
  });
}
