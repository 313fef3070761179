import { planPartitions } from "../domain/partitions.ts";
import type { Database } from "../store/pool.ts";
import {
  createPartition,
  dropPartition,
  listPartitions,
  partitionedTables,
  removeOldRest,
  type PartitionedTable,
} from "../store/partitions.ts";
import { forgetCaKeys } from "../store/ca-rotations.ts";
import { removeOldAttempts } from "../store/reports.ts";
import { removeOldBacktests } from "../store/backtests.ts";
import { removeOldShadows } from "../store/shadows.ts";
import { removeSpentTokens } from "../store/enrollments.ts";

export type KeepDays = Readonly<Record<PartitionedTable, number>>;

const dayMs = 86_400_000;
/** Expired join tokens stay visible for a while, so that people see what became of them. */
const spentTokensKeptMs = 30 * dayMs;
/** A server that is away while the CA is replaced catches up within so long. */
const caKeysKeptMs = 7 * dayMs;

/** What shadows and backtests showed is looked at before the rollout goes on, and perhaps once more when something went wrong. */
const shadowsKeptMs = 30 * dayMs;

/**
 * Makes the partitions of the days to come, drops what is older than its table keeps, and forgets what nobody will ask
 * for again. A part that fails (a long query may hold a lock) keeps no other from being done; it fails at the end.
 */
export async function reconcilePartitions(db: Database, keepDays: KeepDays, now: () => Date): Promise<void> {
  const nowMs = now().getTime();
  const parts = [
    ...(Object.keys(partitionedTables) as PartitionedTable[]).map(
      (table) => () => keepTable(db, table, keepDays[table], nowMs),
    ),
    () => removeSpentTokens(db, new Date(nowMs - spentTokensKeptMs)),
    () => removeOldAttempts(db),
    () => removeOldShadows(db, new Date(nowMs - shadowsKeptMs)),
    () => removeOldBacktests(db, new Date(nowMs - shadowsKeptMs)),
    () => forgetCaKeys(db, new Date(nowMs - caKeysKeptMs)),
  ];
  const failures: unknown[] = [];
  for (const part of parts) {
    await part().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, "Some of the old records could not be removed");
}

async function keepTable(
  db: Database,
  table: PartitionedTable,
  keepDays: number,
  nowMs: number,
): Promise<void> {
  const plan = planPartitions(table, await listPartitions(db, table), nowMs, keepDays);
  for (const partition of plan.create) await createPartition(db, table, partition);
  for (const partition of plan.drop) await dropPartition(db, partition);
  await removeOldRest(db, table, new Date(nowMs - keepDays * dayMs));
}
