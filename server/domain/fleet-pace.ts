/**
 * How many agents come back in a second. A connection by mutual TLS and a session cost a server some milliseconds each, and it has
 * people to serve meanwhile.
 */
const backPerSecond = 100;

/** The window changes in such steps, so that a fleet that grows by one agent is not told another. */
const stepMs = 5_000;

/** As many agents as one server takes come back within this; more are on several servers. */
const mostMs = 100_000;

/** Within which time the agents of a fleet of this size are to come back after an outage, in milliseconds. */
export function reconnectWindowMs(agents: number, leastMs: number): number {
  const neededMs = Math.ceil((agents / backPerSecond) * (1_000 / stepMs)) * stepMs;
  return Math.max(leastMs, Math.min(mostMs, neededMs));
}
