import { and, eq, lt } from "drizzle-orm";

import type { Db } from "./pool.ts";
import { agents, clusters } from "./schema.ts";

/** What is asked about an agent each time it calls. */
export interface AgentStanding {
  readonly certificateSerial: string;
  readonly certificateExpiresAt: Date;
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
      revokedAt: agents.revokedAt,
      retiredAt: clusters.retiredAt,
    })
    .from(agents)
    .innerJoin(clusters, eq(clusters.id, agents.clusterId))
    .where(and(eq(agents.id, agentId), eq(agents.clusterId, clusterId)));
  return row;
}

/** Makes a renewed certificate the agent's certificate. Only forward: an older one never comes back. */
export async function adoptCertificate(
  db: Db,
  agentId: string,
  certificate: { readonly publicKey: Uint8Array; readonly serial: string; readonly expiresAt: Date },
): Promise<void> {
  await db
    .update(agents)
    .set({
      publicKey: certificate.publicKey,
      certificateSerial: certificate.serial,
      certificateExpiresAt: certificate.expiresAt,
    })
    .where(and(eq(agents.id, agentId), lt(agents.certificateExpiresAt, certificate.expiresAt)));
}
