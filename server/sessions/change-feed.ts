import { lastChange, readChanges } from "../store/desired.ts";
import type { Db } from "../store/pool.ts";

/** What changed since the last look. */
export interface Changed {
  readonly clusterIds: ReadonlySet<string>;
  readonly isTrustChanged: boolean;
}

/**
 * Numbers are taken before a transaction commits, so a lower one may appear after a higher one. Each look goes back this
 * long; transactions that write take far less.
 */
const overlapMs = 10_000;
/** The first look goes back this many numbers, for transactions that were under way when the server started. */
const startOverlap = 1_000n;

/** Finds out what other transactions changed, without missing any of them and without telling one twice. */
export interface ChangeFeed {
  /** Looks once. To be called on every notification and at least once a second, never twice at a time. */
  poll(): Promise<void>;
}

export function createChangeFeed(
  db: Db,
  clock: () => Date,
  onChange: (changed: Changed) => Promise<void>,
): ChangeFeed {
  /** Numbers that were told already, with when they were seen. */
  const told = new Map<bigint, number>();
  let after: bigint | undefined;

  return {
    poll: async () => {
      const nowMs = clock().getTime();
      if (after === undefined) {
        const last = await lastChange(db);
        after = last > startOverlap ? last - startOverlap : 0n;
      }
      const changes = (await readChanges(db, after)).filter((change) => !told.has(change.number));
      if (changes.length > 0) {
        await onChange({
          clusterIds: new Set(
            changes.flatMap(({ clusterId }) => (clusterId === undefined ? [] : [clusterId])),
          ),
          isTrustChanged: changes.some((change) => change.clusterId === undefined),
        });
      }
      for (const change of changes) told.set(change.number, nowMs);
      for (const [number, atMs] of told) {
        if (nowMs - atMs <= overlapMs) continue;
        told.delete(number);
        if (number > after) after = number;
      }
    },
  };
}
