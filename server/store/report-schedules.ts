import { and, asc, eq, lte, notInArray, sql } from "./drizzle.ts";

import type { ReportSchedule } from "../domain/notify/report-schedule.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { AuditNote } from "./audit-entries.ts";
import { uniqueViolation, type Database, type Db, type Transaction } from "./pool.ts";
import { notificationReceivers, reportSchedules } from "./schema.ts";

export type ScheduleRow = typeof reportSchedules.$inferSelect;

export const schedulesMax = 100;
/** Kinds of receivers that take a file or its summary. */
const takesReports = ["slack", "webhook", "smtp"];

export async function addSchedule(
  db: Database,
  schedule: ReportSchedule,
  made: { readonly now: Date; readonly by: string; readonly next: Date },
  note: AuditNote,
): Promise<Outcome<ScheduleRow>> {
  try {
    return await db.transaction(async (tx) => {
      const [receiver] = await tx
        .select({ kind: notificationReceivers.kind })
        .from(notificationReceivers)
        .where(eq(notificationReceivers.name, schedule.receiver))
        .for("update");
      if (receiver === undefined) {
        return refuse({ kind: "not-found", what: "receiver", id: schedule.receiver });
      }
      if (!takesReports.includes(receiver.kind)) {
        const why = `Receiver "${schedule.receiver}" is of kind ${receiver.kind}, which takes no reports: use one of kind ${takesReports.join(", ")}`;
        return refuse({ kind: "precondition", why });
      }
      const count = await tx.$count(reportSchedules);
      if (count >= schedulesMax) return refuse({ kind: "over-limit", why: `There are ${count} schedules` });
      const { now, by, next } = made;
      const [row] = await tx
        .insert(reportSchedules)
        .values({
          ...schedule,
          rules: [...schedule.rules],
          redact: [...schedule.redact],
          nextAt: next,
          createdAt: now,
          createdBy: by,
        })
        .returning();
      if (row === undefined) throw new Error("An insert answered without its row");
      await note(tx, { target: row.name });
      return accept(row);
    });
  } catch (error) {
    if (uniqueViolation(error) === undefined) throw error;
    const why = "remove it first, or take another name";
    return refuse({ kind: "already-exists", what: "schedule", id: schedule.name, why });
  }
}

export async function listSchedules(db: Db): Promise<readonly ScheduleRow[]> {
  return db.select().from(reportSchedules).orderBy(asc(reportSchedules.name)).limit(schedulesMax);
}

export async function removeSchedule(db: Database, name: string, note: AuditNote): Promise<Outcome<true>> {
  return db.transaction(async (tx) => {
    const gone = await tx
      .delete(reportSchedules)
      .where(eq(reportSchedules.name, name))
      .returning({ name: reportSchedules.name });
    if (gone.length === 0) return missing(name);
    await note(tx, { target: name });
    return accept(true);
  });
}

/** Has a report made as soon as a server looks, with all tries before it. */
export async function hastenSchedule(
  db: Database,
  name: string,
  now: Date,
  note: AuditNote,
): Promise<Outcome<true>> {
  return db.transaction(async (tx) => {
    const found = await tx
      .update(reportSchedules)
      .set({ nextAt: now, retryAt: null, failures: 0, failedBecause: "" })
      .where(eq(reportSchedules.name, name))
      .returning({ name: reportSchedules.name });
    if (found.length === 0) return missing(name);
    await note(tx, { target: name });
    return accept(true);
  });
}

function missing(name: string): Outcome<never> {
  return refuse({ kind: "not-found", what: "schedule", id: name.slice(0, 80) });
}

const dueAt = sql`coalesce(${reportSchedules.retryAt}, ${reportSchedules.nextAt})`;

/** The schedule whose time came first, but for these names. */
export async function findDueSchedule(
  db: Db,
  now: Date,
  without: readonly string[],
): Promise<ScheduleRow | undefined> {
  const isOther = without.length === 0 ? undefined : notInArray(reportSchedules.name, [...without]);
  const [row] = await db
    .select()
    .from(reportSchedules)
    .where(and(lte(dueAt, now.toISOString()), isOther))
    .orderBy(asc(dueAt), asc(reportSchedules.name))
    .limit(1);
  return row;
}

/** Moves a schedule on; false when somebody else did since it was read, or it was removed. One that was begun again meanwhile is made. */
export async function moveSchedule(
  tx: Transaction,
  schedule: ScheduleRow,
  made: Date,
  next: Date,
): Promise<boolean> {
  const moved = await tx
    .update(reportSchedules)
    .set({ lastAt: made, nextAt: next, failures: 0, failedBecause: "", retryAt: null })
    .where(isOfDay(schedule))
    .returning({ name: reportSchedules.name });
  return moved.length > 0;
}

/** What becomes of a schedule whose report is not made. */
export interface FailedTry {
  readonly failures: number;
  readonly because: string;
  /** When it is tried again, or else when its next day is. */
  readonly at: { readonly retry: Date } | { readonly next: Date };
}

/** Takes a try as failed until it is known better. Undefined when somebody else began or moved the schedule since it was read. */
export async function beginReport(
  db: Db,
  schedule: ScheduleRow,
  { failures, because, at }: FailedTry,
): Promise<ScheduleRow | undefined> {
  const when = "retry" in at ? { retryAt: at.retry } : { nextAt: at.next, retryAt: null };
  const [begun] = await db
    .update(reportSchedules)
    .set({ failures, failedBecause: because, ...when })
    .where(isAsRead(schedule))
    .returning();
  return begun;
}

/** Says why the try that was begun failed. */
export async function explainFailure(db: Db, begun: ScheduleRow, because: string): Promise<void> {
  await db.update(reportSchedules).set({ failedBecause: because }).where(isAsRead(begun));
}

function isAsRead(schedule: ScheduleRow) {
  return and(isOfDay(schedule), eq(reportSchedules.failures, schedule.failures));
}

function isOfDay({ name, nextAt, createdAt }: ScheduleRow) {
  return and(
    eq(reportSchedules.name, name),
    eq(reportSchedules.nextAt, nextAt),
    eq(reportSchedules.createdAt, createdAt),
  );
}
