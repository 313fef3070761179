import type { Db } from "../store/pool.ts";
import { storeReports, type GivenReport } from "../store/reports.ts";
import { together } from "../together.ts";

/** Reports that are stored in one statement; each may hold kilobytes of logs. */
const reportsMax = 200;
/** While thousands of agents report, a statement takes so long by itself that some are waited for; nobody sees it. */
const restMs = 40;

/** Stores a report. False when the session was taken over by a newer one: then nothing was stored. */
export type StoreReport = (given: GivenReport) => Promise<boolean>;

/** A rollout has thousands of agents report at once: those that come while others are written are written together. */
export function createReportBook(db: Db, clock: () => Date): StoreReport {
  return together({
    work: async (given: readonly GivenReport[]) => {
      const held = await storeReports(db, given, clock());
      return given.map(({ agentId }) => held.has(agentId));
    },
    keyOf: ({ agentId }) => agentId,
    itemsMax: reportsMax,
    restMs,
  });
}
