import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import type { TakeAlerts } from "../../sessions/take-alerts.ts";
import type { Taken } from "../../store/alert-intake.ts";
import { createWork } from "../work.ts";

/** As `TakeAlerts`, but refuses as unavailable what would have to wait too long. */
export type TakeAlertsInTurn = (...given: Parameters<TakeAlerts>) => Promise<Outcome<Taken>>;

export interface TurnCounters {
  readonly countLinedUp: (route: string) => void;
  readonly countRefused: (what: "call", reason: "store-busy") => void;
}

/** Of ten connections four store alerts: the others are for reports, rollouts and people, whatever floods there are. */
const share = 0.4;
/** Each waits with up to 1 MiB. An agent keeps on its disk what is refused, and comes again. */
const inLineMax = 64;
/** Of one cluster: its batches touch the same groups and counts, and one cluster that floods keeps no other from its turn. */
const ofCluster = { inWorkMax: 1, inLineMax: 8 };
const lineMsMax = 10_000;
const retryMs = 2_000;
const route = "agent.v1.AgentService/DeliverAlerts";

/**
 * Lets few batches be stored at the same time. The turn begins when a batch is there whole, so that who sends slowly keeps nobody from theirs,
 * and ends when it is stored, also when its sender has left. `connectionsMax` are the server's connections to the database.
 */
export function takeInTurns(
  take: TakeAlerts,
  connectionsMax: number,
  { countLinedUp, countRefused }: TurnCounters,
): TakeAlertsInTurn {
  const work = createWork({ lineMsMax, onLinedUp: countLinedUp });
  const inWorkMax = Math.max(1, Math.floor(connectionsMax * share));
  return async (clusterId, ...given) => {
    const done = new AbortController();
    try {
      const bounds = { weight: 1, inWorkMax, inLineMax, ofCaller: { key: clusterId, ...ofCluster } };
      const turn = await work.begin(route, bounds, done.signal);
      if (turn === "begun") return accept(await take(clusterId, ...given));
      countRefused("call", "store-busy");
      const why = `The server stores ${inWorkMax} batches of alerts at the same time, one of each cluster, and others wait already`;
      return refuse({ kind: "unavailable", why, retryAfterMs: retryMs });
    } finally {
      done.abort();
    }
  };
}
