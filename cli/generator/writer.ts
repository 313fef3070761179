import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync, existsSync } from "node:fs";
import { appendLedger, type LedgerEntry, mendLedger, readLedger } from "./ledger.ts";
import { auditIdOf, rotatedFiles, rotatedName } from "./log-files.ts";
import type { GeneratedLine } from "./stream.ts";

export interface WriterOptions {
  readonly file: string;
  /** The log is rotated before a line would make it longer than this. */
  readonly maxBytes: number;
  /** How many rotated files are kept; 0 keeps all of them. */
  readonly backupsMax: number;
  readonly ledger?: string;
  /** Written into the ledger, so that a log can be made again. */
  readonly seed: string;
  readonly now: () => Date;
}

/** Appends lines to an audit log the way a kube-apiserver does, and keeps the ledger ahead of it. */
export interface AuditWriter {
  /** Each run on a ledger has the next number, from 1, so that its auditIDs can differ from those of the others. */
  readonly run: number;
  /** Lines written by this run. */
  readonly lines: number;
  /** Announces the threats, then writes. Throws with the file's name when the disk refuses. */
  append(batch: readonly GeneratedLine[]): void;
  /** Writes the exact count into the ledger. Call it once, at the end of a clean stop. */
  close(): void;
}

/** Opens the log and the ledger, and first sets right what a killed run left behind. */
export function openAuditWriter(options: WriterOptions): AuditWriter {
  const { file, ledger } = options;
  const run = startRun(options);
  let log = openLog(file);
  let lines = 0;
  let announced = 0;

  const rotate = (): void => {
    closeSync(log.descriptor);
    renameSync(file, freeName(file, options.now()));
    log = openLog(file);
    if (options.backupsMax > 0) {
      for (const old of rotatedFiles(file).slice(0, -options.backupsMax)) rmSync(old);
    }
  };
  const write = (chunk: Buffer): void => {
    if (chunk.length === 0) return;
    writeAll(log.descriptor, chunk, file);
    log = { ...log, bytes: log.bytes + chunk.length };
  };
  return {
    run,
    get lines() {
      return lines;
    },
    append(batch) {
      lines += batch.length;
      if (ledger !== undefined) {
        const announcedNow = Math.ceil(lines / announcedStep) * announcedStep;
        const counts: LedgerEntry[] =
          announcedNow > announced ? [{ kind: "count", run, lines: announcedNow }] : [];
        announced = announcedNow;
        appendLedger(ledger, [...threatsOf(batch), ...counts]);
      }
      let chunk: Buffer[] = [];
      let bytes = 0;
      for (const { line } of batch) {
        const next = Buffer.from(`${line}\n`);
        if (log.bytes + bytes > 0 && log.bytes + bytes + next.length > options.maxBytes) {
          write(Buffer.concat(chunk));
          rotate();
          chunk = [];
          bytes = 0;
        }
        chunk.push(next);
        bytes += next.length;
      }
      write(Buffer.concat(chunk));
    },
    close() {
      closeSync(log.descriptor);
      if (ledger !== undefined) appendLedger(ledger, [{ kind: "stopped", run, lines }]);
    },
  };
}

function threatsOf(batch: readonly GeneratedLine[]): readonly LedgerEntry[] {
  return batch.flatMap(({ planted }): LedgerEntry[] =>
    planted === undefined ? [] : [{ kind: "threat", ...planted }],
  );
}

/** Lines are announced in steps, so that a ledger of a long run stays small. */
const announcedStep = 1000;

function startRun({ file, ledger, seed, now }: WriterOptions): number {
  // Without a ledger nobody counts the runs, and the clock keeps their auditIDs apart.
  if (ledger === undefined) return now().getTime();
  mendLedger(ledger);
  const before = readLedger(ledger);
  const announced = before.planted.slice(-threatsAtRiskMax).map((planted) => planted.auditId);
  const written = before.stoppedCleanly ? new Set(announced) : recentIds(file);
  const missing = announced.filter((auditId) => !written.has(auditId));
  const run = before.runs + 1;
  appendLedger(ledger, [
    ...missing.map((auditId): LedgerEntry => ({ kind: "withdrawn", auditId })),
    { kind: "run", run, seed, at: now().toISOString() },
  ]);
  return run;
}

/** A killed run lost at most the threats of its last batch: a second's worth at most, and fewer than this. */
const threatsAtRiskMax = 10_000;
const recentBytes = 64 * 1024 * 1024;

/** The auditIDs at the end of the log, reaching far enough back for a whole batch. */
function recentIds(file: string): ReadonlySet<string> {
  const ids = new Set<string>();
  let budget = recentBytes;
  const newestFirst = [...(existsSync(file) ? [file] : []), ...rotatedFiles(file).toReversed()];
  for (const part of newestFirst) {
    if (budget <= 0) break;
    const text = tailOf(part, budget);
    budget -= text.length;
    for (const line of text.split("\n")) {
      const id = auditIdOf(line);
      if (id !== undefined) ids.add(id);
    }
  }
  return ids;
}

function tailOf(file: string, bytesMax: number): string {
  const descriptor = openSync(file, "r");
  try {
    const { size } = fstatSync(descriptor);
    const buffer = Buffer.alloc(Math.min(size, bytesMax));
    readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString("utf8");
  } finally {
    closeSync(descriptor);
  }
}

interface OpenLog {
  readonly descriptor: number;
  readonly bytes: number;
}

/** Opens for appending. A line that a kill cut short gets its line break, so that it spoils itself only. */
function openLog(file: string): OpenLog {
  const descriptor = openSync(file, "a+", 0o600);
  const { size } = fstatSync(descriptor);
  if (size === 0) return { descriptor, bytes: 0 };
  const last = Buffer.alloc(1);
  readSync(descriptor, last, 0, 1, size - 1);
  if (last[0] === 0x0a) return { descriptor, bytes: size };
  writeSync(descriptor, "\n");
  return { descriptor, bytes: size + 1 };
}

/** Later than every rotated file there is, also when the clock stands still or was set back: order is what a reader needs. */
function freeName(file: string, at: Date): string {
  const newest = rotatedFiles(file).at(-1) ?? "";
  for (let laterMs = 0; ; laterMs += 1) {
    const name = rotatedName(file, new Date(at.getTime() + laterMs));
    if (name > newest) return name;
  }
}

function writeAll(descriptor: number, chunk: Buffer, file: string): void {
  try {
    for (let done = 0; done < chunk.length;) done += writeSync(descriptor, chunk, done);
  } catch (cause) {
    throw new Error(`Cannot append to the audit log ${file}: free some space or choose another file`, {
      cause,
    });
  }
}
