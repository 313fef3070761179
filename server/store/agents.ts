import type { KeyObject } from "node:crypto";

import { and, eq, gt, inArray, isNull, lt, or, sql } from "./drizzle.ts";

import { refuse, accept, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { AuditNote } from "./audit-entries.ts";
import { findCluster, type ClusterRow } from "./clusters.ts";
import { tokensIn } from "./join-tokens.ts";
import { notifyChanged } from "./notify.ts";
import type { Database, Db } from "./pool.ts";
import { agents, clusters, enrollments, joinTokens } from "./schema.ts";
import { nextChange } from "./columns.ts";
import { clustersIn } from "./scopes.ts";

/** What is asked about an agent each time it calls. */
export interface AgentStanding {
  readonly certificateSerial: string;
  readonly certificateExpiresAt: Date;
  /** Pin of the CA that issued it; empty when that is not known. */
  readonly certificateCa: string;
  readonly revokedAt: Date | null;
  readonly retiredAt: Date | null;
}

/** The standing of some agents, in their order; undefined where there is no such agent in that cluster. */
export async function listAgentStandings(
  db: Db,
  asked: readonly { readonly agentId: string; readonly clusterId: string }[],
): Promise<readonly (AgentStanding | undefined)[]> {
  const rows = await db
    .select({
      agentId: agents.id,
      clusterId: agents.clusterId,
      certificateSerial: agents.certificateSerial,
      certificateExpiresAt: agents.certificateExpiresAt,
      certificateCa: agents.certificateCa,
      revokedAt: agents.revokedAt,
      retiredAt: clusters.retiredAt,
    })
    .from(agents)
    .innerJoin(clusters, eq(clusters.id, agents.clusterId))
    .where(sql`${agents.id} = any(${sql.param(asked.map(({ agentId }) => agentId))}::text[])`);
  const byId = new Map(rows.map((row) => [row.agentId, row]));
  return asked.map(({ agentId, clusterId }) => {
    const row = byId.get(agentId);
    return row?.clusterId === clusterId ? row : undefined;
  });
}

/** How many agents may come in at all. */
export async function countAgents(db: Db): Promise<number> {
  const { rows } = await db.execute<{ count: number }>(sql`
    select count(*)::int as count from agents g join clusters c on c.id = g.cluster_id
    where g.revoked_at is null and c.retired_at is null`);
  return rows[0]?.count ?? 0;
}

/** A certificate that somebody came in with. */
export interface CameInWith {
  readonly agentId: string;
  readonly publicKey: KeyObject;
  readonly certificateSerial: string;
  readonly certificateExpiresAt: Date;
  readonly certificateCa: string;
  readonly replacesSerial?: string;
}

/** Makes a renewed certificate the agent's certificate, in place of the one that it was judged by and no other. */
export async function adoptCertificate(db: Db, certificate: CameInWith): Promise<void> {
  const { agentId, certificateSerial, certificateExpiresAt, certificateCa } = certificate;
  if (certificate.replacesSerial === undefined) return;
  const publicKey = certificate.publicKey.export({ type: "spki", format: "der" });
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
  readonly cluster: ClusterRow;
}

/**
 * Takes an agent's identity back, and tells every server; cluster and agent by id or by name. Revoking again keeps the
 * first time. What the servers have to notice is a change of the cluster.
 */
export async function revokeAgent(
  db: Database,
  scope: Scope,
  named: { readonly cluster: string; readonly agent: string },
  now: Date,
  note: AuditNote,
): Promise<Outcome<RevokedAgent>> {
  return db.transaction(async (tx) => {
    const found = await findCluster(tx, scope, named.cluster);
    if (!found.ok) return found;
    const { id: clusterId, name: clusterName } = found.value;
    const [row] = await tx
      .update(agents)
      .set({ revokedAt: sql`coalesce(${agents.revokedAt}, ${now.toISOString()}::timestamptz)` })
      .where(
        and(
          inArray(
            agents.clusterId,
            tx
              .select({ id: clusters.id })
              .from(clusters)
              .where(and(eq(clusters.id, clusterId), clustersIn(scope))),
          ),
          or(eq(agents.id, named.agent), eq(agents.name, named.agent)),
        ),
      )
      .returning({ id: agents.id, name: agents.name, revokedAt: agents.revokedAt });
    if (row === undefined) {
      const what = `agent of cluster ${clusterName}`;
      return refuse({ kind: "not-found", what, id: named.agent.slice(0, 80) });
    }
    const [cluster] = await tx
      .update(clusters)
      .set({ changed: nextChange() })
      .where(eq(clusters.id, clusterId))
      .returning();
    if (cluster === undefined) throw new Error("An update answered without its row");
    await notifyChanged(tx);
    await note(tx, { target: `${clusterName}/${row.name}` });
    return accept({ ...row, revokedAt: row.revokedAt ?? now, cluster });
  });
}

/** Join tokens of a scope by which an agent enrolled and which admit others still: who has its disk may have them too. */
export async function listUsableTokensOf(
  db: Db,
  scope: Scope,
  agentId: string,
  now: Date,
): Promise<readonly string[]> {
  const rows = await db
    .selectDistinct({ id: joinTokens.id })
    .from(joinTokens)
    .innerJoin(enrollments, eq(enrollments.tokenId, joinTokens.id))
    .where(
      and(
        tokensIn(scope),
        eq(enrollments.agentId, agentId),
        isNull(joinTokens.revokedAt),
        gt(joinTokens.expiresAt, now),
        lt(joinTokens.uses, joinTokens.usesMax),
      ),
    )
    .orderBy(joinTokens.id);
  return rows.map(({ id }) => id);
}
