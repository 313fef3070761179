import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Planted } from "./stream.ts";

/**
 * What a ledger tells about a generated log: the counts that a test compares with what an agent delivered and alerted.
 *
 * The ledger is written before the log, so after a kill -9 it may be ahead of the log, and never behind.
 * The next run withdraws what was announced and not written.
 */
export interface LedgerSummary {
  readonly runs: number;
  /** Lines announced: at least the number of lines in the log, by up to a thousand more. Exact after a clean stop. */
  readonly lines: number;
  readonly planted: readonly Planted[];
  readonly stoppedCleanly: boolean;
}

/** One line of a ledger file. */
export type LedgerEntry =
  | { readonly kind: "run"; readonly run: number; readonly seed: string; readonly at: string }
  | ({ readonly kind: "threat" } & Planted)
  | { readonly kind: "withdrawn"; readonly auditId: string }
  | { readonly kind: "count"; readonly run: number; readonly lines: number }
  | { readonly kind: "stopped"; readonly run: number; readonly lines: number };

/** Appends entries in one write. They survive the death of this process, as what the kernel has is written. */
export function appendLedger(file: string, entries: readonly LedgerEntry[]): void {
  if (entries.length === 0) return;
  appendFileSync(file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
}

/** Ends a line that a kill cut short, so that the next entry does not get lost in it. */
export function mendLedger(file: string): void {
  if (!existsSync(file)) return;
  const text = readFileSync(file, "utf8");
  if (text !== "" && !text.endsWith("\n")) appendFileSync(file, "\n");
}

/**
 * Reads a ledger. A file that does not exist yet is an empty ledger; a line cut short by a kill is skipped. With `since`
 * only what runs planted that began then or later.
 */
export function readLedger(file: string, since: Date = new Date(0)): LedgerSummary {
  if (!existsSync(file)) return { runs: 0, lines: 0, planted: [], stoppedCleanly: true };
  const planted = new Map<string, Planted>();
  const lines = new Map<number, number>();
  let runs = 0;
  let stoppedCleanly = true;
  let counts = true;
  for (const entry of entriesOf(readFileSync(file, "utf8"))) {
    stoppedCleanly = entry.kind === "stopped";
    if (entry.kind === "run") {
      runs = entry.run;
      counts = Date.parse(entry.at) >= since.getTime();
    }
    if (entry.kind === "threat" && counts) planted.set(entry.auditId, withoutKind(entry));
    if (entry.kind === "withdrawn") planted.delete(entry.auditId);
    if (entry.kind === "count" || entry.kind === "stopped") lines.set(entry.run, entry.lines);
  }
  const total = [...lines.values()].reduce((sum, count) => sum + count, 0);
  return { runs, lines: total, planted: [...planted.values()], stoppedCleanly };
}

function withoutKind({ auditId, threat, rule }: Planted): Planted {
  return { auditId, threat, rule };
}

function* entriesOf(text: string): Iterable<LedgerEntry> {
  for (const line of text.split("\n")) {
    if (line === "") continue;
    try {
      yield JSON.parse(line) as LedgerEntry;
    } catch (error) {
      // A kill in the middle of a write leaves half a line; the run that follows ends it with a line break.
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
}
