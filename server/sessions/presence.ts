import type { Db } from "../store/pool.ts";
import { flushPresence, type Presence } from "../store/sessions.ts";
import type { Registry } from "./registry.ts";

/** Who was heard of since the last flush. Kept in memory and written for all agents at once. */
export interface PresenceBook {
  note(seen: Omit<Presence, "lastSeenAt">): void;
  /**
   * Writes what was noted. Ends the sessions that turn out to hold no longer: a newer one took over on another server, or
   * the agent was revoked. What could not be written is written with the next flush.
   */
  flush(): Promise<void>;
}

export function createPresenceBook(db: Db, registry: Registry, clock: () => Date): PresenceBook {
  let seen = new Map<string, Presence>();
  return {
    note: (noted) => {
      seen.set(noted.agentId, { ...noted, lastSeenAt: clock() });
    },
    flush: async () => {
      const batch = seen;
      seen = new Map();
      try {
        const holding = await flushPresence(db, [...batch.values()]);
        for (const { agentId, sessionId } of batch.values()) {
          if (!holding.has(agentId)) registry.end(agentId, sessionId, { kind: "superseded" });
        }
      } catch (error) {
        seen = new Map([...batch, ...seen]);
        throw error;
      }
    },
  };
}
