import { Code, ConnectError } from "@connectrpc/connect";

import type { Scope } from "../../domain/scope.ts";
import { isStatementLate, type Database, type Db } from "../../store/pool.ts";
import { readOnly } from "../../store/alert-logs.ts";

/** What one query may cost. */
export interface QueryLimits {
  /** From its beginning to its answer. */
  readonly workMs: number;
  /** Alerts, and bytes of them, that a query looks at one by one, because the database cannot decide about them. */
  readonly linesMax: number;
  readonly bytesMax: number;
  /** Series in an answer, as Loki has it by default. */
  readonly seriesMax: number;
  /** Counts that come from the database for one range. */
  readonly countsMax: number;
  /** Values of all series of all ranges while a query is worked on. */
  readonly valuesMax: number;
  readonly answerBytesMax: number;
}

export const queryLimits: QueryLimits = {
  workMs: 25_000,
  linesMax: 100_000,
  bytesMax: 256 * 1024 * 1024,
  seriesMax: 500,
  countsMax: 200_000,
  valuesMax: 6_000_000,
  answerBytesMax: 32 * 1024 * 1024,
};

/** One query that reads: for whom, on which snapshot of limits, and what it looked at until now. */
export interface Reading {
  readonly tx: Db;
  readonly scope: Scope;
  readonly limits: QueryLimits;
  readonly stats: { lines: number; bytes: number; values: number; readonly begunMs: number };
  /** Throws when the query took too long, or nobody waits for it any more. */
  readonly check: () => void;
}

export interface ReadingOptions {
  readonly db: Database;
  readonly scope: Scope;
  readonly signal: AbortSignal;
  readonly limits: QueryLimits;
}

/** Runs a query on one connection, in a transaction that can only read. */
export async function reading<T>(
  { db, scope, signal, limits }: ReadingOptions,
  work: (reading: Reading) => Promise<T>,
): Promise<T> {
  const stats = { lines: 0, bytes: 0, values: 0, begunMs: performance.now() };
  const check = () => {
    if (signal.aborted) throw new ConnectError("The request was cancelled by the client", Code.Canceled);
    if (performance.now() - stats.begunMs < limits.workMs) return;
    throw timedOut();
  };
  try {
    return await readOnly(db, (tx) => work({ tx, scope, limits, stats, check }));
  } catch (error) {
    throw isStatementLate(error) ? timedOut() : error;
  }
}

/** In Loki's words, which say what to do. */
function timedOut(): ConnectError {
  const why =
    "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed";
  return new ConnectError(why, Code.DeadlineExceeded);
}

/** The part of Loki's statistics that clients show. */
export function statsOf({ stats }: Pick<Reading, "stats">): object {
  const execTime = (performance.now() - stats.begunMs) / 1000;
  return {
    summary: {
      bytesProcessedPerSecond: Math.round(stats.bytes / Math.max(execTime, 0.001)),
      linesProcessedPerSecond: Math.round(stats.lines / Math.max(execTime, 0.001)),
      totalBytesProcessed: stats.bytes,
      totalLinesProcessed: stats.lines,
      execTime,
      queueTime: 0,
    },
  };
}
