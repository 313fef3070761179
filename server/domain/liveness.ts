/** How often an agent says something; the server tells it so. */
export const heartbeatMs = 20_000;

/** An agent that was not heard of for three heartbeats is silent. */
export const silentAfterMs: number = 3 * heartbeatMs;

/** A silent agent beside others that are heard of is taken for gone (its node was replaced) after this time. */
export const goneAfterMs: number = 24 * 3_600_000;

/** What tells whether an agent is there. */
export interface Heard {
  /** Absent when it never connected. */
  readonly lastSeenMs?: number;
  /** When it said goodbye; absent when a session of it began since, or its last one just broke off. */
  readonly leftMs?: number;
}

/** Silence is never health: an agent that was never heard of is silent. */
export function isSilent(lastSeenMs: number | undefined, nowMs: number): boolean {
  return lastSeenMs === undefined || nowMs - lastSeenMs > silentAfterMs;
}

/** Whether a goodbye is the last that was heard of an agent, but for what was on its way. */
export function isGoodbyeLast({ lastSeenMs, leftMs }: Heard): boolean {
  return leftMs !== undefined && lastSeenMs !== undefined && lastSeenMs <= leftMs + heartbeatMs;
}

/** Whether an agent said goodbye and did not come back in the time that any other may be quiet for: a restart is no leave. */
export function hasLeft(agent: Heard, nowMs: number): boolean {
  return isGoodbyeLast(agent) && isSilent(agent.lastSeenMs, nowMs);
}

/**
 * The agents whose records still say what a cluster can do: heard of within a day, gone or not, because that does not go with a
 * goodbye. All of them, where nobody was.
 */
export function recentAgents<A extends Heard>(agents: readonly A[], nowMs: number): readonly A[] {
  const recent = agents.filter((agent) => isRecent(agent, nowMs));
  return recent.length > 0 ? recent : agents;
}

function isRecent({ lastSeenMs = 0 }: Heard, nowMs: number): boolean {
  return nowMs - lastSeenMs <= goneAfterMs;
}

/**
 * The agents whose word is asked for. Those that have left, or have been silent for a day, are left out, so that the record of a
 * replaced node does not hold up its cluster; a cluster that would have none then keeps them all: nobody watches it, and that is
 * never health.
 */
export function askedAgents<A extends Heard>(agents: readonly A[], nowMs: number): readonly A[] {
  const present = agents.filter((agent) => isRecent(agent, nowMs) && !hasLeft(agent, nowMs));
  return present.length > 0 ? present : agents;
}
