import { pace } from "./pace.ts";
import { replayLines } from "./replay.ts";
import { createAuditStream, type GeneratedLine } from "./stream.ts";
import { type AuditWriter, openAuditWriter } from "./writer.ts";

export interface GeneratorOptions {
  readonly file: string;
  readonly ratePerSecond: number;
  readonly seed: string;
  readonly cluster: string;
  readonly threatEvery: number;
  readonly ledger?: string;
  readonly maxBytes: number;
  readonly backupsMax: number;
  /** A recorded audit log to write instead of generated lines. */
  readonly replay?: { readonly file: string; readonly loop: boolean };
  /** Stop by itself after this many lines; 0 goes on until the signal. */
  readonly linesMax: number;
}

export interface GeneratorReport {
  readonly run: number;
  readonly lines: number;
}

/** Writes at the given rate until the signal aborts or everything is written, then closes the ledger. */
export async function runGenerator(options: GeneratorOptions, signal: AbortSignal): Promise<GeneratorReport> {
  const writer = openAuditWriter({ ...options, now: () => new Date() });
  await (options.replay === undefined ? generate(options, writer, signal) : replay(options, writer, signal));
  writer.close();
  return { run: writer.run, lines: writer.lines };
}

async function generate(options: GeneratorOptions, writer: AuditWriter, signal: AbortSignal): Promise<void> {
  // A second run with the same seed must not repeat the auditIDs of the first.
  const stream = createAuditStream({ ...options, seed: `${options.seed}/${writer.run}` });
  for await (const due of pace({ ...options, clockMs: () => performance.now(), signal })) {
    const count = withinLimit(options, writer, due);
    const batch: GeneratedLine[] = [];
    while (batch.length < count) batch.push(stream.next(nowMicros()));
    writer.append(batch);
    if (isDone(options, writer)) return;
  }
}

async function replay(options: GeneratorOptions, writer: AuditWriter, signal: AbortSignal): Promise<void> {
  const { file, loop } = options.replay ?? { file: "", loop: false };
  const lines = replayLines({ file, loop, seed: `${options.seed}/${writer.run}` })[Symbol.asyncIterator]();
  for await (const due of pace({ ...options, clockMs: () => performance.now(), signal })) {
    const { batch, ended } = await take(lines, withinLimit(options, writer, due));
    writer.append(batch);
    if (ended || isDone(options, writer)) break;
  }
  await lines.return?.();
}

async function take(
  lines: AsyncIterator<GeneratedLine>,
  count: number,
): Promise<{ readonly batch: readonly GeneratedLine[]; readonly ended: boolean }> {
  const batch: GeneratedLine[] = [];
  while (batch.length < count) {
    const next = await lines.next();
    if (next.done === true) return { batch, ended: true };
    batch.push(next.value);
  }
  return { batch, ended: false };
}

function withinLimit({ linesMax }: GeneratorOptions, writer: AuditWriter, due: number): number {
  return linesMax === 0 ? due : Math.min(due, linesMax - writer.lines);
}

function isDone({ linesMax }: GeneratorOptions, writer: AuditWriter): boolean {
  return linesMax > 0 && writer.lines >= linesMax;
}

function nowMicros(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
