import { and, asc, desc, eq, gt, isNotNull, lte, or, sql } from "./drizzle.ts";

import type { Envelope } from "#trust";

import type { Db } from "./pool.ts";
import { agents, auditHeads, clusters } from "./schema.ts";

export type AuditHeadRow = typeof auditHeads.$inferSelect;

/** The newest head; of those up to a sequence when one is given. */
export async function findAuditHead(db: Db, org: string, upTo?: bigint): Promise<AuditHeadRow | undefined> {
  const [row] = await db
    .select()
    .from(auditHeads)
    .where(and(eq(auditHeads.org, org), upTo === undefined ? undefined : lte(auditHeads.sequence, upTo)))
    .orderBy(desc(auditHeads.sequence), desc(auditHeads.signedAt))
    .limit(1);
  return row;
}

/** Several servers may sign the same at once: one of them is enough. */
export async function insertAuditHead(db: Db, row: AuditHeadRow): Promise<void> {
  await db.insert(auditHeads).values(row).onConflictDoNothing();
}

/** Oldest first. */
export async function listAuditHeads(
  db: Db,
  org: string,
  after: Pick<AuditHeadRow, "sequence" | "signedAt"> | undefined,
  max: number,
): Promise<readonly AuditHeadRow[]> {
  const isLater =
    after === undefined
      ? undefined
      : or(
          gt(auditHeads.sequence, after.sequence),
          and(eq(auditHeads.sequence, after.sequence), gt(auditHeads.signedAt, after.signedAt)),
        );
  return db
    .select()
    .from(auditHeads)
    .where(and(eq(auditHeads.org, org), isLater))
    .orderBy(asc(auditHeads.sequence), asc(auditHeads.signedAt))
    .limit(max);
}

export function envelopeOf({ payload, keyId, signature }: AuditHeadRow, payloadType: string): Envelope {
  return { payloadType, payload, signatures: [{ keyId, signature }] };
}

/** What an agent said that it carries, still encoded: nobody has looked into it. */
export interface CarriedRow {
  readonly agentId: string;
  readonly agent: string;
  readonly cluster: string;
  readonly head: Uint8Array;
}

/** Agents that were revoked and clusters that were retired are witnesses too. */
export async function listCarriedHeads(db: Db, afterId: string, max: number): Promise<readonly CarriedRow[]> {
  const rows = await db
    .select({ agentId: agents.id, agent: agents.name, cluster: clusters.name, head: agents.auditHead })
    .from(agents)
    .innerJoin(clusters, eq(clusters.id, agents.clusterId))
    .where(and(isNotNull(agents.auditHead), sql`${agents.id} > ${afterId}`))
    .orderBy(asc(agents.id))
    .limit(max);
  return rows.flatMap(({ head, ...row }) => (head === null ? [] : [{ ...row, head }]));
}
