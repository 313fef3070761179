import * as fs from "node:fs";
import type { Active } from "./active.ts";
import { parkedOrigin } from "./alert.ts";
import { Arena } from "./arena.ts";
import { Batch } from "./batch.ts";
import type { PipelineAlert } from "./batch.ts";
import type { DeadLetter } from "./dead-letter.ts";
import { reasonOfTag } from "./feed.ts";
import { reasonOf } from "./files.ts";
import { addMarks, bytesOf, readMarks, readParked } from "./parked.ts";
import type { ParkedEntry } from "./parked.ts";
import { finishRequest, idOf, listRequests, readRequest, replayFolder } from "./replay-request.ts";
import type { ReplayEntry } from "./replay-request.ts";
import { RecordScanner } from "./scan.ts";

export interface ReplayOptions {
  readonly pipelineDir: string;
  readonly deadLetterDir: string;
  readonly deadLetter: DeadLetter;
  readonly onProblem: (code: string, message: string) => void;
}

interface Request {
  readonly name: string;
  readonly entries: readonly ReplayEntry[];
  next: number;
  queued: number;
  already: number;
  skipped: number;
  readonly examples: { id: string; why: string }[];
}

/** `wait`: an output is full, or there are no rules yet. */
type Fed = "fed" | "wait" | { readonly why: string };

const lookMs = 500;
/** How much is given to outputs before it is made durable and marked. */
const sliceRecords = 500;
const sliceBytes = 4 * 1024 * 1024;
const examplesMax = 50;
const recordBytesMax = 64 * 1024 * 1024;

/**
 * Sends dead letters again that somebody asked for by a file in the replay folder. An entry is marked when the output has
 * it durably, and a request goes when all of its entries are marked: after a crash it is taken up once more, and what was
 * marked is not sent again. Records go to the output that refused them; lines that were none go through filters to all.
 */
export class Replay {
  readonly #options: ReplayOptions;
  readonly #folder: string;
  readonly #arena = new Arena();
  readonly #scanner = new RecordScanner();
  readonly #marks = new Map<string, Set<number>>();
  #request: Request | undefined;
  #fed: ReplayEntry[] = [];
  #settling: Promise<void> | undefined;
  #lookedAt = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#folder = replayFolder(options.pipelineDir);
    fs.mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    options.deadLetter.dropReplayed();
  }

  /** Gives outputs the next slice. To be called between turns; never throws. */
  poll(active: Active, nowMs: number): void {
    if (this.#settling !== undefined) return;
    try {
      if (this.#request === undefined) this.#look(nowMs);
      if (this.#request === undefined) return;
      if (this.#fed.length === 0) this.#feed(this.#request, active);
      const isDone = this.#request.next >= this.#request.entries.length;
      if (this.#fed.length === 0 && !isDone) return;
      if (!isSettled(active, this.#options.deadLetter)) return;
      this.#settling = this.#settle(this.#request, active)
        .catch((error: unknown) => this.#failed(error))
        .finally(() => (this.#settling = undefined));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Ends what is under way. What is not marked then is sent again by whoever polls next. */
  async rest(): Promise<void> {
    await this.#settling;
    this.#forget();
  }

  #look(nowMs: number): void {
    if (nowMs - this.#lookedAt < lookMs) return;
    this.#lookedAt = nowMs;
    const [name] = listRequests(this.#folder);
    if (name === undefined) return;
    const entries = readRequest(this.#folder, name);
    const nothing = { name, next: 0, queued: 0, already: 0 };
    if ("why" in entries) {
      this.#request = { ...nothing, entries: [], skipped: 1, examples: [{ id: name, why: entries.why }] };
    } else this.#request = { ...nothing, entries, skipped: 0, examples: [] };
  }

  #feed(request: Request, active: Active): void {
    let bytes = 0;
    for (; request.next < request.entries.length; request.next++) {
      const entry = request.entries[request.next];
      if (entry === undefined || this.#fed.length >= sliceRecords || bytes >= sliceBytes) return;
      if (this.#isMarked(entry)) {
        request.already++;
        continue;
      }
      const found = this.#load(entry);
      const result = "why" in found ? found : this.#send(found.parked, found.record, entry, active);
      if (result === "wait") return;
      if (result === "fed") {
        this.#fed.push(entry);
        this.#marksOf(entry.file).add(entry.offset);
        bytes += "why" in found ? 0 : found.record.length;
      } else this.#skip(request, entry, result.why);
    }
  }

  #load(entry: ReplayEntry): { parked: ParkedEntry; record: Buffer } | { why: string } {
    const { deadLetterDir } = this.#options;
    const parked = readParked(deadLetterDir, entry);
    if (parked === undefined) return { why: "it is not in the dead letter folder any more" };
    if (entry.line !== undefined) return { parked, record: Buffer.from(entry.line) };
    const record = bytesOf(deadLetterDir, parked, recordBytesMax);
    return "why" in record ? record : { parked, record };
  }

  #send(parked: ParkedEntry, record: Buffer, ref: ReplayEntry, active: Active): Fed {
    const hasNewline = record.includes(0x0a);
    if (hasNewline || !this.#scanner.scan(record, 0, record.length)) {
      const why = hasNewline ? "it has several lines" : this.#scanner.why;
      return { why: `it is no record: ${why}. Export it, edit its "line", and replay it with --edited` };
    }
    const timeMs = Date.parse(parked.at);
    const position = { inode: 0, origin: parkedOrigin(ref.file), offset: ref.offset };
    if (parked.output === undefined) {
      if (reasonOfTag(active.router, parked.tag) !== undefined) return "wait";
      active.router.record(parked.tag, record, 0, record.length, this.#scanner, timeMs, position);
      active.router.flush();
      return "fed";
    }
    const output = active.outputs.find(({ config }) => config.alias === parked.output);
    if (output === undefined) return { why: `the config has no output "${parked.output}" any more` };
    if (output.isFull) return "wait";
    const alert = output.config.plugin === "fleet" ? readAlert(record) : undefined;
    if (output.config.plugin === "fleet" && alert === undefined) {
      return {
        why: "it is no alert: leave the names of its members as they were exported, and texts as texts",
      };
    }
    this.#arena.reset();
    this.#arena.reserve(record.length + 1);
    this.#arena.put(record, 0, record.length);
    this.#arena.putByte(0x0a);
    const batch = new Batch(parked.tag, timeMs, this.#arena);
    batch.add(0, this.#arena.length, position);
    if (alert !== undefined) batch.alerts.push(alert);
    output.take(batch);
    return "fed";
  }

  /** Makes durable what was fed, marks it, and finishes the request when nothing is left of it. */
  async #settle(request: Request, active: Active): Promise<void> {
    const { deadLetter, deadLetterDir } = this.#options;
    await Promise.all([deadLetter.sync(), ...active.outputs.map((output) => output.sync())]);
    const byFile = Map.groupBy(this.#fed, ({ file }) => file);
    for (const [file, entries] of byFile) {
      await addMarks(
        deadLetterDir,
        file,
        entries.map(({ offset }) => offset),
      );
    }
    request.queued += this.#fed.length;
    this.#fed = [];
    if (request.next < request.entries.length) return;
    const { name, queued, already, skipped, examples } = request;
    const finishedAt = new Date().toISOString();
    await finishRequest(this.#folder, { request: name, finishedAt, queued, already, skipped, examples });
    if (skipped > 0) {
      const [first] = examples;
      const example = first === undefined ? "" : `, such as ${first.id}: ${first.why}`;
      this.#options.onProblem("replay/skipped", `${skipped} dead letters were not replayed${example}`);
    }
    this.#forget();
    deadLetter.dropReplayed();
  }

  #skip(request: Request, entry: ReplayEntry, why: string): void {
    request.skipped++;
    if (request.examples.length < examplesMax) request.examples.push({ id: idOf(entry), why });
  }

  #failed(error: unknown): void {
    this.#options.onProblem("replay/failed", `Dead letters cannot be replayed now: ${reasonOf(error)}`);
    // From the marks on, so that nothing is taken for sent that is not.
    this.#forget();
  }

  #forget(): void {
    this.#request = undefined;
    this.#fed = [];
    this.#marks.clear();
  }

  #isMarked(entry: ReplayEntry): boolean {
    return this.#marksOf(entry.file).has(entry.offset);
  }

  #marksOf(file: string): Set<number> {
    let marks = this.#marks.get(file);
    if (marks === undefined) {
      this.#marks.set(file, (marks = readMarks(this.#options.deadLetterDir, file)));
    }
    return marks;
  }
}

function isSettled(active: Active, deadLetter: DeadLetter): boolean {
  return deadLetter.isSettled && active.outputs.every((output) => output.isSettled);
}

const alertTexts = ["id", "rule", "priority", "source", "time", "output", "body", "auditId", "rulesDigest"];

/** An alert as it was parked or edited: one with a member less would hold up all alerts behind it. */
function readAlert(record: Buffer): PipelineAlert | undefined {
  const value = JSON.parse(record.toString()) as Readonly<Record<string, unknown>>;
  const { tags } = value;
  const isWhole =
    alertTexts.every((name) => typeof value[name] === "string") &&
    Array.isArray(tags) &&
    tags.every((tag) => typeof tag === "string");
  return isWhole ? (value as unknown as PipelineAlert) : undefined;
}
