import { heartbeatMs } from "./liveness.ts";

/** How often the agents of a fleet speak, and come back. Both in milliseconds. */
export interface FleetPace {
  /** The agents come back after an outage within this time. */
  readonly reconnectWindowMs: number;
  /** They send their rates this often. */
  readonly reportMs: number;
}

/**
 * How many agents come back in a second. A connection by mutual TLS and a session cost a server some milliseconds each, and it has
 * people to serve meanwhile.
 */
const backPerSecond = 100;

/** How many send rates in a second. Each costs server and database half a millisecond or more, also while there is nothing to say. */
const reportsPerSecond = 250;

/** The pace changes in such steps, so that a fleet that grows by one agent is not told another. */
const stepMs = 5_000;

/** As many agents as one server takes come back within this; more are on several servers. */
const windowMsMax = 100_000;

/** The pace of a fleet of this size: never faster than `least`, and rates no more rarely than a heartbeat is due. */
export function fleetPace(agents: number, least: FleetPace): FleetPace {
  const neededMs = (perSecond: number) => Math.ceil((agents / perSecond) * (1_000 / stepMs)) * stepMs;
  return {
    reconnectWindowMs: Math.max(least.reconnectWindowMs, Math.min(windowMsMax, neededMs(backPerSecond))),
    reportMs: Math.max(least.reportMs, Math.min(heartbeatMs, neededMs(reportsPerSecond))),
  };
}
