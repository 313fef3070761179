/** How often an agent says something; the server tells it so. */
export const heartbeatMs = 20_000;

/** An agent that was not heard of for three heartbeats is silent. */
export const silentAfterMs: number = 3 * heartbeatMs;

/** A silent agent beside others that are heard of is taken for gone (its node was replaced) after this time. */
export const goneAfterMs: number = 24 * 3_600_000;

/** Silence is never health: an agent that was never heard of is silent. */
export function isSilent(lastSeenMs: number | undefined, nowMs: number): boolean {
  return lastSeenMs === undefined || nowMs - lastSeenMs > silentAfterMs;
}

/**
 * The agents whose word is asked for. Those that have been silent for a day are left out, so that the record of a
 * replaced node does not hold up its cluster for ever; a cluster of which nothing is heard at all keeps them.
 */
export function askedAgents<A extends { readonly lastSeenMs?: number }>(
  agents: readonly A[],
  nowMs: number,
): readonly A[] {
  const present = agents.filter((agent) => nowMs - (agent.lastSeenMs ?? 0) <= goneAfterMs);
  return present.length > 0 ? present : agents;
}
