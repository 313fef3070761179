import type { Outcome } from "../domain/refusal.ts";
import { claimSessions, type Claim, type NewLease } from "../store/claims.ts";
import type { Db } from "../store/pool.ts";
import { together } from "../together.ts";

/** Sessions that begin in one statement. */
const claimsMax = 200;

/** Begins a session, or says why it may not be. */
export type ClaimSession = (claim: Claim) => Promise<Outcome<NewLease>>;

/** After an outage thousands of agents come back at once: those that come while others are let in are let in together. */
export function createClaimBook(db: Db, clock: () => Date, restMs: number): ClaimSession {
  return together({
    work: (claims: readonly Claim[]) => claimSessions(db, claims, clock()),
    keyOf: ({ agentId }) => agentId,
    itemsMax: claimsMax,
    restMs,
  });
}
