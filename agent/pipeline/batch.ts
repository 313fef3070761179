import type { SourcePosition } from "./alert.ts";
import type { Arena } from "./arena.ts";
import { PositionNotes } from "./positions.ts";

/** One alert as it travels to the control plane. */
export interface PipelineAlert {
  /**
   * 64 hex digits over cluster, source position, rule and record: an alert that is found again after a crash has the
   * same id and is stored once.
   */
  readonly id: string;
  readonly rule: string;
  readonly priority: string;
  readonly source: string;
  /** RFC 3339 with nanoseconds, UTC. */
  readonly time: string;
  readonly output: string;
  /** Falco's JSON alert with the fields that the filters added, at most 64 KiB. */
  readonly body: string;
  readonly auditId: string;
  readonly tags: readonly string[];
  /** "sha256:..." of the rules bundle that found it. */
  readonly rulesDigest: string;
  /** Of canaries alone: when the agent had read the record, and when a rule matched it, in ms since the epoch. */
  readonly hops?: { readonly readMs: number; readonly matchedMs: number };
}

/** What one turn has for one output under one tag: whole lines in the arena. */
export class Batch {
  readonly tag: string;
  /** Event time of the first record, ms since the epoch. */
  readonly oldestMs: number;
  readonly alerts: PipelineAlert[] = [];
  /** Where each record stood in its source. */
  readonly positions: PositionNotes = new PositionNotes();
  count = 0;
  bytes = 0;
  readonly #arena: Arena;
  readonly #ranges: number[] = [];

  constructor(tag: string, oldestMs: number, arena: Arena) {
    this.tag = tag;
    this.oldestMs = oldestMs;
    this.#arena = arena;
  }

  /** Adds the line from `start` to `end`, newline included. Neighbours become one range, so that one write takes them. */
  add(start: number, end: number, position: SourcePosition): void {
    this.positions.add(position);
    this.count++;
    this.bytes += end - start;
    if (this.#ranges.at(-1) === start) this.#ranges[this.#ranges.length - 1] = end;
    else this.#ranges.push(start, end);
  }

  /** The lines, as few buffers; valid until the turn ends. */
  buffers(): Buffer[] {
    const found: Buffer[] = [];
    for (let index = 0; index < this.#ranges.length; index += 2) {
      found.push(this.#arena.bytes.subarray(this.#ranges[index], this.#ranges[index + 1]));
    }
    return found;
  }
}
