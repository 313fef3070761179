import type { Logger } from "pino";

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
import { countActors } from "../store/alert-actors.ts";
import { recountTotals, type HourRange } from "../store/alert-totals.ts";
import { removeOldAlertGroups } from "../store/alert-groups.ts";
import { removeOldIntake } from "../store/alert-intake.ts";
import { removeOldSilences } from "../store/alert-silences.ts";
import { forgetCaKeys } from "../store/ca-rotations.ts";
import { removeOldAttempts } from "../store/reports.ts";
import { removeOldBacktests } from "../store/backtests.ts";
import { removeOldResponses } from "../store/responses.ts";
import { removeOldShadows } from "../store/shadows.ts";
import { removeSpentTokens } from "../store/enrollments.ts";
import { removeSpentIssuers } from "../store/issuers.ts";

/** Whole days that are kept; alerts that were counted by hour are kept as long as the alerts. */
export type KeepDays = Readonly<Record<"alerts" | "rates", number>>;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Expired join tokens stay visible for a while, so that people see what became of them. */
const spentTokensKeptMs = 30 * dayMs;
/** A server that is away while the CA is replaced catches up within so long. */
const caKeysKeptMs = 7 * dayMs;

/** What shadows and backtests showed is looked at before the rollout goes on, and perhaps once more when something went wrong. */
const shadowsKeptMs = 30 * dayMs;
/** Silences that are over are listed for so long. */
const silencesKeptMs = 30 * dayMs;
/** People see what a cluster sent in the last day. What was not stored is told for as long as reports reach. */
const intakeKeptMs = 2 * dayMs;

export interface PartitionOptions {
  readonly db: Database;
  readonly keepDays: KeepDays;
  readonly now: () => Date;
  readonly log: Pick<Logger, "warn">;
}

/**
 * What makes the partitions of the days to come, drops what is older than its table keeps, and forgets what nobody will ask for again, each
 * time that it is called. A part that fails (a long query may hold a lock) keeps no other from being done; it fails at the end.
 */
export function keepPartitions(options: PartitionOptions): () => Promise<void> {
  // By calls and not by the clock, so that a call that comes late passes over no day. The first is another one after each start.
  let turn = Math.floor(options.now().getTime() / hourMs);
  return async () => {
    const parts = partsOf(options, turn);
    turn += 1;
    const failures: unknown[] = [];
    for (const part of parts) {
      await part().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw new AggregateError(failures, "Some of the tables could not be kept");
  };
}

function partsOf(
  { db, keepDays, now, log }: PartitionOptions,
  turn: number,
): readonly (() => Promise<unknown>)[] {
  const nowMs = now().getTime();
  return [
    ...(Object.keys(partitionedTables) as PartitionedTable[]).map(
      (table) => () => keepTable(db, table, keepDays[table === "rates" ? "rates" : "alerts"], nowMs),
    ),
    ...recounts(db, keepDays.alerts, nowMs, turn, log),
    () => removeOldAlertGroups(db, new Date(nowMs - keepDays.alerts * dayMs)),
    () =>
      removeOldIntake(db, {
        whole: new Date(nowMs - intakeKeptMs),
        unstored: new Date(nowMs - Math.max(keepDays.alerts * dayMs, intakeKeptMs)),
      }),
    () => removeOldSilences(db, new Date(nowMs - silencesKeptMs)),
    () => removeSpentTokens(db, new Date(nowMs - spentTokensKeptMs)),
    () => removeSpentIssuers(db, new Date(nowMs - spentTokensKeptMs)),
    () => removeOldResponses(db, new Date(nowMs - keepDays.alerts * dayMs)),
    () => removeOldAttempts(db),
    () => removeOldShadows(db, new Date(nowMs - shadowsKeptMs)),
    () => removeOldBacktests(db, new Date(nowMs - shadowsKeptMs)),
    () => forgetCaKeys(db, new Date(nowMs - caKeysKeptMs)),
  ];
}

/**
 * Compares the totals of today and yesterday with the counted hours, and those of one older day: another one each time, so that all are
 * looked at in as many turns as there are days. What is older than all of them is the last of these. After all of that, which takes no
 * time, it counts by actor what is over.
 */
function recounts(
  db: Database,
  keepDays: number,
  nowMs: number,
  turn: number,
  log: PartitionOptions["log"],
): readonly (() => Promise<unknown>)[] {
  const today = Math.floor(nowMs / dayMs);
  const days = [0, 1, 2 + (turn % keepDays)].map((ago) => ({
    from: ago > keepDays ? undefined : new Date((today - ago) * dayMs),
    to: new Date((today - ago + 1) * dayMs),
  }));
  const isOver = Math.floor(nowMs / hourMs) * hourMs;
  return [
    ...days.map((day) => () => recountTotals(db, day)),
    // What is older than all days is seldom asked for.
    ...days.flatMap(({ from, to }) =>
      from === undefined
        ? []
        : [() => countDay(db, { from, to: new Date(Math.min(to.getTime(), isOver)) }, log)],
    ),
  ];
}

async function countDay(db: Database, day: HourRange, log: PartitionOptions["log"]): Promise<void> {
  const { refused, failures } = await countActors(db, day);
  if (refused.length > 0) {
    const why = "too many actors to count these hours by: statistics of actors read their alerts one by one";
    log.warn({ hours: refused }, why);
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, "Alerts of some hours could not be counted by actor");
  }
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
