import { and, eq, gt, isNull, lt, or, sql } from "drizzle-orm";

import { refuse, accept, type Outcome } from "../domain/refusal.ts";
import { notifyChanged } from "./notify.ts";
import type { Database, Db } from "./pool.ts";
import { agents, clusters, enrollments, joinTokens, nextChange } from "./schema.ts";

/** What is asked about an agent each time it calls. */
export interface AgentStanding {
  readonly certificateSerial: string;
  readonly certificateExpiresAt: Date;
  /** Pin of the CA that issued it; empty when that is not known. */
  readonly certificateCa: string;
  readonly revokedAt: Date | null;
  readonly retiredAt: Date | null;
}

/** Undefined when there is no such agent in that cluster. */
export async function findAgentStanding(
  db: Db,
  agentId: string,
  clusterId: string,
): Promise<AgentStanding | undefined> {
  const [row] = await db
    .select({
      certificateSerial: agents.certificateSerial,
      certificateExpiresAt: agents.certificateExpiresAt,
      certificateCa: agents.certificateCa,
      revokedAt: agents.revokedAt,
      retiredAt: clusters.retiredAt,
    })
    .from(agents)
    .innerJoin(clusters, eq(clusters.id, agents.clusterId))
    .where(and(eq(agents.id, agentId), eq(agents.clusterId, clusterId)));
  return row;
}

/** A certificate that somebody came in with. */
export interface CameInWith {
  readonly agentId: string;
  readonly publicKey: Uint8Array;
  readonly certificateSerial: string;
  readonly certificateExpiresAt: Date;
  readonly certificateCa: string;
  readonly replacesSerial?: string;
}

/** Makes a renewed certificate the agent's certificate, in place of the one that it was judged by and no other. */
export async function adoptCertificate(db: Db, certificate: CameInWith): Promise<void> {
  const { agentId, publicKey, certificateSerial, certificateExpiresAt, certificateCa } = certificate;
  if (certificate.replacesSerial === undefined) return;
  await db
    .update(agents)
    .set({ publicKey, certificateSerial, certificateExpiresAt, certificateCa })
    .where(and(eq(agents.id, agentId), eq(agents.certificateSerial, certificate.replacesSerial)));
}

/** An agent whose identity was taken back. */
export interface RevokedAgent {
  readonly id: string;
  readonly name: string;
  readonly revokedAt: Date;
}

/**
 * Takes an agent's identity back, and tells every server; by id or by name. Revoking again keeps the first time. What
 * the servers have to notice is a change of the cluster.
 */
export async function revokeAgent(
  db: Database,
  cluster: { readonly id: string; readonly name: string },
  idOrName: string,
  now: Date,
): Promise<Outcome<RevokedAgent>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(agents)
      .set({ revokedAt: sql`coalesce(${agents.revokedAt}, ${now.toISOString()}::timestamptz)` })
      .where(and(eq(agents.clusterId, cluster.id), or(eq(agents.id, idOrName), eq(agents.name, idOrName))))
      .returning({ id: agents.id, name: agents.name, revokedAt: agents.revokedAt });
    if (row === undefined) {
      const what = `agent of cluster ${cluster.name}`;
      return refuse({ kind: "not-found", what, id: idOrName.slice(0, 80) });
    }
    await tx.update(clusters).set({ changed: nextChange() }).where(eq(clusters.id, cluster.id));
    await notifyChanged(tx);
    return accept({ ...row, revokedAt: row.revokedAt ?? now });
  });
}

/** Join tokens by which an agent enrolled and which admit others still: who has its disk may have them too. */
export async function listUsableTokensOf(db: Db, agentId: string, now: Date): Promise<readonly string[]> {
  const rows = await db
    .selectDistinct({ id: joinTokens.id })
    .from(joinTokens)
    .innerJoin(enrollments, eq(enrollments.tokenId, joinTokens.id))
    .where(
      and(
        eq(enrollments.agentId, agentId),
        isNull(joinTokens.revokedAt),
        gt(joinTokens.expiresAt, now),
        lt(joinTokens.uses, joinTokens.usesMax),
      ),
    )
    .orderBy(joinTokens.id);
  return rows.map(({ id }) => id);
}
