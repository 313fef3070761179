import { and, eq, sql } from "./drizzle.ts";

import { judgeBounds, judgeJoinToken } from "../domain/enrollment.ts";
import type { AgentId } from "../domain/ids.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Credential } from "../domain/secret.ts";
import { isSecret } from "../secrets.ts";
import type { Admit, Application } from "./admission.ts";
import type { Transaction } from "./pool.ts";
import { agents, clusters, enrollments, joinTokens } from "./schema.ts";

/**
 * Admits by a join token. Its row is locked, so that a token with one use admits exactly one key however many come at
 * once; the same key again is answered again without another use.
 */
export function byJoinToken(credential: Credential): Admit {
  return async (tx, application) => {
    const { keyHash, now } = application;
    const [token] = await tx.select().from(joinTokens).where(eq(joinTokens.id, credential.id)).for("update");
    // The same words for both, so that ids cannot be told apart from outside.
    if (token === undefined || !isSecret(credential.secret, token.secretHash)) {
      const why = `The join token ${credential.id} is not known here, or its secret is wrong`;
      return refuse({ kind: "unauthenticated", why });
    }
    const again = await findRepeated(tx, credential.id, application);
    const admitted = judgeToken(token, application, again !== undefined);
    if (!admitted.ok) return admitted;
    return accept({
      what: `join token ${token.id}`,
      labels: token.labels,
      scope: token.scope,
      madeAt: token.createdAt,
      again,
      use: async (agentId) => {
        if (again !== undefined) return accept(true);
        await tx
          .update(joinTokens)
          .set({ uses: sql`${joinTokens.uses} + 1` })
          .where(eq(joinTokens.id, token.id));
        await tx.insert(enrollments).values({ tokenId: token.id, keyHash, agentId, at: now });
        return accept(true);
      },
    });
  };
}

/** Whether a token admits an applicant, or admits it again after a lost answer. */
function judgeToken(
  token: typeof joinTokens.$inferSelect,
  { applicant, address, now }: Application,
  isRepeated: boolean,
): Outcome<true> {
  const bounds = {
    id: token.id,
    ...(token.clusterName === null ? {} : { clusterName: token.clusterName }),
    ...(token.clusterUid === null ? {} : { clusterUid: token.clusterUid }),
    ...(token.cidr === null ? {} : { cidr: token.cidr }),
  };
  if (isRepeated && token.revokedAt !== null) {
    // Who revokes a token wants nobody to come in by it any more, also not those who have its answer.
    const why = `The join token ${token.id} was revoked: ask for a new one`;
    return refuse({ kind: "unauthenticated", why });
  }
  if (isRepeated) return judgeBounds(bounds, applicant, address);
  const state = {
    ...bounds,
    uses: token.uses,
    usesMax: token.usesMax,
    expiresAtMs: token.expiresAt.getTime(),
    isRevoked: token.revokedAt !== null,
  };
  return judgeJoinToken(state, applicant, address, now.getTime());
}

/** The agent that this key got from this token before, if it did. */
async function findRepeated(
  tx: Transaction,
  tokenId: string,
  { keyHash, applicant }: Application,
): Promise<AgentId | undefined> {
  const [row] = await tx
    .select({ agentId: enrollments.agentId })
    .from(enrollments)
    .innerJoin(agents, eq(agents.id, enrollments.agentId))
    .innerJoin(clusters, eq(clusters.id, agents.clusterId))
    .where(
      and(
        eq(enrollments.tokenId, tokenId),
        eq(enrollments.keyHash, keyHash),
        eq(agents.name, applicant.agentName),
        eq(clusters.uid, applicant.clusterUid),
      ),
    );
  return row?.agentId as AgentId | undefined;
}
