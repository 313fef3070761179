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
import { removeSpentTokens } from "../store/enrollments.ts";

export type KeepDays = Readonly<Record<PartitionedTable, number>>;

const dayMs = 86_400_000;
/** Expired join tokens stay visible for a while, so that people see what became of them. */
const spentTokensKeptMs = 30 * dayMs;

/** Makes the partitions of the days to come and drops what is older than its table keeps. */
export async function reconcilePartitions(db: Database, keepDays: KeepDays, now: () => Date): Promise<void> {
  const nowMs = now().getTime();
  for (const table of Object.keys(partitionedTables) as PartitionedTable[]) {
    const plan = planPartitions(table, await listPartitions(db, table), nowMs, keepDays[table]);
    for (const partition of plan.create) await createPartition(db, table, partition);
    for (const partition of plan.drop) await dropPartition(db, partition);
    await removeOldRest(db, table, new Date(nowMs - keepDays[table] * dayMs));
  }
  await removeSpentTokens(db, new Date(nowMs - spentTokensKeptMs));
}
