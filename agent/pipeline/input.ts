import type { InputConfig } from "#shipper";
import type { Mark } from "./mark.ts";
import type { Router } from "./router.ts";

/** Counts of one input, cumulative since the pipeline began, over all configs that had an input of this alias. */
export interface InputCounters {
  /** Records that were handed to the router. */
  records: number;
  /** Bytes read, of records and of what was set aside. */
  bytes: number;
  /** What was set aside, by reason. */
  parked: Record<string, number>;
  /** Lines longer than `buffer_max_size`; they are among those set aside. */
  longLines: number;
  /** Files that were found renamed, copied or replaced. */
  rotated: number;
  /** Files that went away before they were read to their end. */
  lost: number;
  /** Truncations without a copy of what was cut: each may have cost lines. */
  truncations: number;
  /** Answers to requests, by status. */
  requests: Record<string, number>;
}

/** What an input has to say about itself. */
export interface InputReport extends Readonly<InputCounters> {
  readonly alias: string;
  readonly plugin: string;
  /** Event time (ms since the epoch) around which unread records begin; undefined when there are none. */
  readonly oldestMs: number | undefined;
  readonly filesOpen: number;
  /** Files that cannot be read at the moment, such as for lack of permission or descriptors. */
  readonly filesFailing: number;
  /** Bytes that were accepted and wait on disk to be read. */
  readonly spoolBytes: number;
  /** Whether everything that is there now was read. */
  readonly atEnd: boolean;
  /** Whether it will never have more. */
  readonly ended: boolean;
  readonly lastError: string | undefined;
}

/** The report as the pipeline gives it. */
export interface InputStats extends Omit<InputReport, "oldestMs"> {
  /** Age of the oldest record that was not read, by its event time; 0 when there is none. */
  readonly lagMs: number;
  /** Whether reading waits, such as for an output whose queue is full. */
  readonly paused: boolean;
  /** Why, in words; undefined while it reads. */
  readonly waitingFor: string | undefined;
}

/**
 * Where records come from. `nowMs` is of a clock that goes on steadily whatever is done to the time of day: waits and looks
 * are counted by it. The pipeline calls `poll` all the time, and `turn` when outputs have room; after each turn
 * either `commit` or `rollback`. Neither throws what is wrong with one file or client: that is reported, counted and
 * tried again.
 */
export interface Input {
  readonly config: InputConfig;
  /** The tags of the records that the next turn may give. */
  tags(): readonly string[];
  /** Looks at the world: also while reading waits, so that nothing goes away unseen meanwhile. */
  poll(nowMs: number): void;
  /** `wallMs` is the time of records that name none. Reads about one chunk and hands its records to the router; whether there may be more at once. */
  turn(router: Router, nowMs: number, wallMs: number): boolean;
  /** What the last turn gave is with every output: positions move past it. */
  commit(): void;
  /** What the last turn gave was thrown away: it has to be read again. */
  rollback(): void;
  /** Where to go on after a restart: past what was committed, and nothing else. */
  marks(): readonly Mark[];
  /** These positions, which `marks` gave, are durable: what lies before them will not be asked for again. */
  saved(marks: readonly Mark[]): void;
  report(): InputReport;
  close(): void | Promise<void>;
}

/** What inputs get from the pipeline. */
export interface InputContext {
  readonly counters: InputCounters;
  readonly onProblem: (code: string, message: string) => void;
}

export function newCounters(): InputCounters {
  const files = { longLines: 0, rotated: 0, lost: 0, truncations: 0 };
  return { records: 0, bytes: 0, parked: {}, ...files, requests: {} };
}

/** The counters of a name, kept as long as the pipeline lives. */
export function countersIn<T>(known: Map<string, T>, name: string, make: () => T): T {
  const found = known.get(name) ?? make();
  known.set(name, found);
  return found;
}

/** Counts what was set aside under its reason. */
export function countParked(counters: InputCounters, reason: string): void {
  counters.parked[reason] = (counters.parked[reason] ?? 0) + 1;
}

/** A copy of counters as they are now. */
export function countsOf(counters: InputCounters): Readonly<InputCounters> {
  return { ...counters, parked: { ...counters.parked }, requests: { ...counters.requests } };
}

/** Bytes that inputs have read, all of them together. */
export function bytesIn(all: Iterable<InputCounters>): number {
  let sum = 0;
  for (const { bytes } of all) sum += bytes;
  return sum;
}

export function parkedIn(counters: InputCounters): number {
  return Object.values(counters.parked).reduce((sum, count) => sum + count, 0);
}
