import { and, asc, desc, eq, gt, inArray, isNotNull, isNull, lt, sql } from "./drizzle.ts";

import { stepCa, type CaPhase, type CaStep, type GatedAgent } from "../domain/ca-rotation.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { AuditNote } from "./audit-entries.ts";
import { tokensIn } from "./join-tokens.ts";
import { notifyChanged } from "./notify.ts";
import { uniqueViolation, type Database, type Db } from "./pool.ts";
import { agents, caRotations, clusters, joinTokens } from "./schema.ts";
import { nextChange } from "./columns.ts";
import { clustersIn } from "./scopes.ts";

export type CaRotationRow = typeof caRotations.$inferSelect;

/** Every rotation, cancelled ones too, oldest first: what a server follows from the CA that it holds. */
export async function listCaRotations(db: Db): Promise<readonly CaRotationRow[]> {
  return db.select().from(caRotations).orderBy(asc(caRotations.number));
}

export async function newestCaRotation(db: Db): Promise<CaRotationRow | undefined> {
  const [row] = await db.select().from(caRotations).orderBy(desc(caRotations.number)).limit(1);
  return row;
}

/** What a new rotation is made of. */
export type NewCaRotation = Pick<
  CaRotationRow,
  "fromPin" | "fromCertificate" | "toPin" | "toCertificate" | "startedAt" | "startedBy"
> & { readonly toKey: Uint8Array };

/** Begins a rotation, unless one is under way; of two who begin at once one is refused. */
export async function beginCaRotation(
  db: Database,
  wanted: NewCaRotation,
  note: AuditNote,
): Promise<Outcome<CaRotationRow>> {
  try {
    return await db.transaction(async (tx) => {
      const last = await newestCaRotation(tx);
      // A server that has not heard of the last one would go on from a CA that is no more.
      if (last?.phase === "finished" && last.toPin !== wanted.fromPin) {
        return refuse({
          kind: "unavailable",
          why: "This server does not present the newest CA yet: try again",
        });
      }
      const number = (last?.number ?? 0) + 1;
      const [row] = await tx
        .insert(caRotations)
        .values({ ...wanted, number, phase: "spreading" })
        .returning();
      if (row === undefined) throw new Error("An insert answered without its row");
      await notifyChanged(tx);
      const request = { from_pin: row.fromPin, to_pin: row.toPin };
      await note(tx, { target: nameOf(row), request });
      return accept(row);
    });
  } catch (error) {
    if (uniqueViolation(error) === undefined) throw error;
    const why =
      "A rotation of the CA is under way: look at fleetctl trust ca status, and finish or cancel it first";
    return refuse({ kind: "precondition", why });
  }
}

/** As the audit log names it. */
function nameOf({ number }: CaRotationRow): string {
  return `CA rotation ${number}`;
}

/** Who did a step and whom they left behind. */
export interface CaDecision {
  readonly now: Date;
  readonly by: string;
  readonly leftBehind: readonly string[];
}

/**
 * Does the next step of the newest rotation. `decide` looks at the row, which is locked, and at the gate; a step that
 * was done before is not decided again.
 */
export async function stepCaRotation(
  db: Database,
  step: CaStep,
  decide: (tx: Db, row: CaRotationRow) => Promise<Outcome<CaDecision>>,
  note: AuditNote,
): Promise<Outcome<CaRotationRow>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .select()
      .from(caRotations)
      .orderBy(desc(caRotations.number))
      .limit(1)
      .for("update");
    const phase = stepCa(row, step);
    if (!phase.ok) return phase;
    if (row === undefined) return noRotation();
    if (row.phase === phase.value) {
      await note(tx, { target: nameOf(row) });
      return accept(row);
    }
    const decided = await decide(tx, row);
    if (!decided.ok) return decided;
    const [changed] = await tx
      .update(caRotations)
      .set(changeOf(row, phase.value, decided.value))
      .where(and(eq(caRotations.number, row.number), eq(caRotations.phase, row.phase)))
      .returning();
    if (changed === undefined) return noRotation();
    await notifyChanged(tx);
    await note(tx, { target: nameOf(changed) });
    return accept(changed);
  });
}

function noRotation() {
  return refuse({ kind: "not-found", what: "rotation of the CA", id: "" });
}

function changeOf(row: CaRotationRow, phase: CaPhase, { now, by, leftBehind }: CaDecision) {
  return {
    phase,
    leftBehind: [...new Set([...row.leftBehind, ...leftBehind])],
    changed: nextChange(),
    ...(phase === "switched" ? { switchedAt: now, switchedBy: by } : { endedAt: now, endedBy: by }),
    // Nobody is to follow a rotation that was given up.
    ...(phase === "cancelled" ? { toKey: null } : {}),
  };
}

/** Agents of a scope that a rotation waits for, or that enrol again anyhow. */
export async function listGatedAgents(db: Db, scope: Scope): Promise<readonly GatedAgent[]> {
  const rows = await db
    .select({
      cluster: clusters.name,
      agent: agents.name,
      certificateExpiresAt: agents.certificateExpiresAt,
      certificateCa: agents.certificateCa,
      trustedCas: agents.trustedCas,
    })
    .from(agents)
    .innerJoin(clusters, eq(clusters.id, agents.clusterId))
    .where(and(clustersIn(scope), isNull(agents.revokedAt), isNull(clusters.retiredAt)));
  return rows.map(({ certificateExpiresAt, ...row }) => ({
    ...row,
    certificateExpiresMs: certificateExpiresAt.getTime(),
  }));
}

/** Join tokens of a scope that were made before a moment and can be used still. */
export async function listUsableTokensBefore(
  db: Db,
  scope: Scope,
  madeBefore: Date,
  now: Date,
): Promise<readonly string[]> {
  const rows = await db
    .select({ id: joinTokens.id })
    .from(joinTokens)
    .where(
      and(
        tokensIn(scope),
        lt(joinTokens.createdAt, madeBefore),
        isNull(joinTokens.revokedAt),
        gt(joinTokens.expiresAt, now),
        lt(joinTokens.uses, joinTokens.usesMax),
      ),
    )
    .orderBy(joinTokens.id)
    .limit(1_000);
  return rows.map(({ id }) => id);
}

/**
 * Takes the sealed key out of rotations that were finished before a moment: who finds an old CA key in a backup is not to
 * open the present one with it. A server that was away for all that time is given the CA by hand.
 */
export async function forgetCaKeys(db: Db, finishedBefore: Date): Promise<number> {
  const done = await db
    .update(caRotations)
    .set({ toKey: sql`null` })
    .where(
      and(
        inArray(caRotations.phase, ["finished"]),
        isNotNull(caRotations.toKey),
        lt(caRotations.endedAt, finishedBefore),
      ),
    );
  return done.rowCount ?? 0;
}
