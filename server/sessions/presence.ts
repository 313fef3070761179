import { silentAfterMs } from "../domain/liveness.ts";
import type { Db } from "../store/pool.ts";
import { flushPresence, type Presence } from "../store/sessions.ts";
import type { Registry } from "./registry.ts";

/** Who was heard of since the last flush. Kept in memory and written for all agents at once. */
export interface PresenceBook {
  note(seen: Omit<Presence, "lastSeenAt">): void;
  /**
   * Writes what was noted, but of one session that says nothing new no more than once in `restMs`. Ends the sessions that
   * turn out to hold no longer: a newer one took over on another server, or the agent was revoked. What could not be
   * written is written with the next flush.
   */
  flush(): Promise<void>;
}

export interface PresenceOptions {
  readonly db: Db;
  readonly registry: Registry;
  readonly clock: () => Date;
  /** Together with a heartbeat well below what agents may be silent for. */
  readonly restMs: number;
}

export function createPresenceBook({ db, registry, clock, restMs }: PresenceOptions): PresenceBook {
  let seen = new Map<string, Presence>();
  /** What was written last of each agent that speaks here. */
  const written = new Map<string, Presence>();

  function isDue(presence: Presence): boolean {
    const last = written.get(presence.agentId);
    if (last === undefined || last.sessionId !== presence.sessionId || last.epoch !== presence.epoch) {
      return true;
    }
    if (presence.lastSeenAt.getTime() - last.lastSeenAt.getTime() >= restMs) return true;
    const [now, before] = [presence.trustVersions, last.trustVersions];
    return now !== undefined && (now.root !== before?.root || now.targets !== before.targets);
  }
  return {
    note: (noted) => {
      const trustVersions = noted.trustVersions ?? seen.get(noted.agentId)?.trustVersions;
      seen.set(noted.agentId, { ...noted, trustVersions, lastSeenAt: clock() });
    },
    flush: async () => {
      const noted = seen;
      seen = new Map();
      const batch = [...noted.values()].filter(isDue);
      try {
        const holding = await flushPresence(db, batch);
        for (const presence of batch) {
          const { agentId, sessionId } = presence;
          if (holding.has(agentId)) written.set(agentId, presence);
          else registry.end(agentId, sessionId, { kind: "superseded" });
        }
        const longAgoMs = clock().getTime() - silentAfterMs;
        for (const [agentId, last] of written) {
          if (last.lastSeenAt.getTime() < longAgoMs) written.delete(agentId);
        }
      } catch (error) {
        seen = new Map([...noted, ...seen]);
        throw error;
      }
    },
  };
}
