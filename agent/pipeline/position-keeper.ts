import { isDeepStrictEqual } from "node:util";
import { marksOf } from "./active.ts";
import type { Active } from "./active.ts";
import { CheckpointFile } from "./checkpoint.ts";
import type { DeadLetter } from "./dead-letter.ts";
import { reasonOf } from "./files.ts";
import type { Mark } from "./mark.ts";
import type { Output } from "./output.ts";

export interface KeeperOptions {
  readonly path: string;
  readonly deadLetter: DeadLetter;
  readonly onProblem: (code: string, message: string) => void;
}

const checkpointMs = 500;
/** Sooner when this much was read: less comes twice after a crash in the middle of a backlog. */
const checkpointBytes = 1024 * 1024;
const checkpointMinMs = 100;
export const noteMs = 20;
/** A long note, of thousands of files, is written more rarely: notes must not become what the pipeline does. */
const noteBytesPerMs = 2048;
const noteMsMax = 500;

/** Saves where reading goes on: positions whose records are with every output that they reach, see Feed. */
export class PositionKeeper {
  readonly #options: KeeperOptions;
  readonly #file: CheckpointFile;
  #saved: readonly Mark[];
  #checkpointedAt = 0;
  #checkpointedBytes = 0;
  #notedAt = 0;
  #noteEveryMs = noteMs;
  #checkpointing: Promise<void> | undefined;
  /** Whether positions may have moved since the last quick note. */
  hasNews = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    const onDamaged = (message: string) => options.onProblem("checkpoint/damaged", message);
    this.#file = new CheckpointFile(options.path, onDamaged);
    this.#saved = this.#file.load();
  }

  /** The last positions that were durable. */
  get saved(): readonly Mark[] {
    return this.#saved;
  }

  /** Whether positions were lost, so that everything has to be read again. */
  get isDamaged(): boolean {
    return this.#file.isDamaged;
  }

  /** Whether it is time for a checkpoint, after so many bytes in all; if so, the next one is due later. */
  isCheckpointDue(nowMs: number, bytes: number): boolean {
    const everyMs = bytes - this.#checkpointedBytes >= checkpointBytes ? checkpointMinMs : checkpointMs;
    if (nowMs - this.#checkpointedAt < everyMs) return false;
    this.#checkpointedAt = nowMs;
    this.#checkpointedBytes = bytes;
    return true;
  }

  /** Notes positions without syncing anything: see CheckpointFile. */
  noteQuickly(active: Active, nowMs: number): void {
    if (nowMs - this.#notedAt < this.#noteEveryMs) return;
    try {
      if (this.hasNews && this.#options.deadLetter.isSettled) {
        const bytes = this.#file.note(marksOf(active));
        this.#noteEveryMs = Math.max(noteMs, Math.min(bytes / noteBytesPerMs, noteMsMax));
        this.hasNews = false;
      }
    } catch (error) {
      this.#options.onProblem("checkpoint/failed", `Positions cannot be noted: ${reasonOf(error)}`);
    }
    this.#notedAt = nowMs;
  }

  /** So that the quick note is not behind the checkpoint: it counts first. */
  noteSaved(): void {
    this.#file.note(this.#saved);
  }

  close(): void {
    this.#file.close();
  }

  /** Makes positions durable. One at a time; a second call waits for the first. */
  checkpoint(active: Active | undefined): Promise<void> {
    this.#checkpointing ??= this.#save(active)
      .catch((error: unknown) => {
        const why = `Positions cannot be saved, records may come twice after a crash: ${reasonOf(error)}`;
        this.#options.onProblem("checkpoint/failed", why);
      })
      .finally(() => {
        this.#checkpointing = undefined;
      });
    return this.#checkpointing;
  }

  /** Resolves when no checkpoint is being made. */
  async rest(): Promise<void> {
    await this.#checkpointing;
  }

  async #save(active: Active | undefined): Promise<void> {
    const { deadLetter } = this.#options;
    if (active === undefined || !deadLetter.isSettled) return;
    // What these positions cover is written; it has to be durable before they are.
    const written = active.feeds.all.map((feed) => ({ feed, marks: feed.marks() }));
    await deadLetter.sync();
    const failed = await this.#syncOutputs(active);
    const durable = written.map(({ feed, marks }) => ({
      feed,
      marks: feed.reachesAny(failed) ? feed.savedMarks : marks,
    }));
    const marks = [...durable.flatMap((one) => one.marks), ...active.otherMarks];
    if (!isDeepStrictEqual(marks, this.#saved)) await this.#file.save(marks);
    this.#saved = marks;
    for (const one of durable) one.feed.saved(one.marks);
  }

  /** Those that could not be synced: what they have may not survive. */
  async #syncOutputs(active: Active): Promise<ReadonlySet<Output>> {
    const failed = new Set<Output>();
    const sync = async (output: Output): Promise<void> => {
      try {
        await output.sync();
      } catch (error) {
        failed.add(output);
        // Notes must not stay ahead of what is durable.
        if (!output.isDurable) this.#file.forgetNotes();
        this.hasNews = true;
        const why = `Positions cannot be saved for output "${output.config.alias}", its records may come twice`;
        this.#options.onProblem("checkpoint/failed", `${why}: ${reasonOf(error)}`);
      }
    };
    await Promise.all(active.outputs.map(sync));
    return failed;
  }
}
