import { and, count, eq, isNull } from "./drizzle.ts";

import { issuerAgentsMax, judgeIssuerCluster, notTaken } from "../domain/issuer.ts";
import type { AgentId } from "../domain/ids.ts";
import { accept, refuse } from "../domain/refusal.ts";
import type { Admit } from "./admission.ts";
import { agents, issuers, issuerUses } from "./schema.ts";

/** A service-account token whose signature and claims were found good. */
export interface Vouched {
  readonly issuerId: string;
  /** Over what was signed, because the same content may have more than one signature. */
  readonly tokenHash: Uint8Array;
  readonly expiresAt: Date;
}

/**
 * Admits by a service-account token that was found good. The issuer's row is locked, so that a token admits exactly one
 * key however many come with it at once; the same key again is answered again.
 */
export function byIssuer({ issuerId, tokenHash, expiresAt }: Vouched): Admit {
  return async (tx, { applicant, keyHash, now }) => {
    const [issuer] = await tx.select().from(issuers).where(eq(issuers.id, issuerId)).for("update");
    if (issuer === undefined || issuer.revokedAt !== null) {
      return notTaken(`is of the issuer ${issuerId}, which is not trusted any more`);
    }
    const same = judgeIssuerCluster(issuer, applicant);
    if (!same.ok) return same;
    const [used] = await tx
      .select({ keyHash: issuerUses.keyHash, agentId: issuerUses.agentId, agentName: agents.name })
      .from(issuerUses)
      .innerJoin(agents, eq(agents.id, issuerUses.agentId))
      .where(and(eq(issuerUses.issuerId, issuerId), eq(issuerUses.tokenHash, Buffer.from(tokenHash))));
    const isSameKey = used !== undefined && Buffer.from(used.keyHash).equals(Buffer.from(keyHash));
    if (used !== undefined && (!isSameKey || used.agentName !== applicant.agentName)) {
      return notTaken(
        `let in another key before (agent "${used.agentName}"): the kubelet makes a new one within minutes, and a new pod has one at once`,
      );
    }
    return accept({
      what: `issuer ${issuerId}`,
      labels: issuer.labels,
      scope: issuer.scope,
      madeAt: issuer.createdAt,
      again: used?.agentId as AgentId | undefined,
      use: async (agentId, clusterId) => {
        if (used !== undefined) return accept(true);
        const [{ there } = { there: 0 }] = await tx
          .select({ there: count() })
          .from(agents)
          .where(and(eq(agents.clusterId, clusterId), isNull(agents.revokedAt)));
        if (there > issuerAgentsMax) {
          const why = `The cluster "${applicant.clusterName}" has ${there - 1} agents, and issuers let in ${issuerAgentsMax}: revoke those that are gone, fleetctl agent revoke`;
          return refuse({ kind: "over-limit", why });
        }
        await tx.insert(issuerUses).values({ issuerId, tokenHash, keyHash, agentId, at: now, expiresAt });
        return accept(true);
      },
    });
  };
}
