import type { Input } from "./input.ts";
import type { Mark } from "./mark.ts";
import type { Output } from "./output.ts";
import type { Router } from "./router.ts";

/** Why an input may not read now: a code for the log, and words. */
export interface Wait {
  readonly code: string;
  readonly why: string;
}

export interface FeedOptions {
  readonly input: Input;
  /** To the outputs that it feeds. */
  readonly router: Router;
  /** Durable positions, from which everybody it feeds may go on. */
  readonly marks: readonly Mark[];
  /** Positions up to which they have everything; the same when absent. */
  readonly safe?: readonly Mark[];
  /** Outputs that took records of it before. */
  readonly reached?: Iterable<Output>;
  /** The one output that it feeds, because that one is behind the others. */
  readonly behind?: Output;
}

/**
 * An input with what its records reach. It waits for the outputs of its own tags and for no others, and its positions stay
 * where they are while one of the outputs that took its records has them neither delivered nor on disk.
 */
export class Feed {
  readonly input: Input;
  readonly router: Router;
  readonly behind: Output | undefined;
  /** Why it does not read, in words; undefined while it does. */
  waitingFor: string | undefined;
  /** Outputs that took records of it since it was opened; a file that is gone may have fed one, so none is forgotten. */
  readonly #reached: Set<Output>;
  /** Positions that outputs had everything up to, and those of them that are durable. */
  #safe: readonly Mark[];
  #saved: readonly Mark[];

  constructor({ input, router, marks, safe = marks, reached = [], behind }: FeedOptions) {
    this.input = input;
    this.router = router;
    this.behind = behind;
    this.#reached = new Set(reached);
    this.#saved = markedAs(behind, marks);
    this.#safe = markedAs(behind, safe);
  }

  /** Outputs that took records of it. */
  get reached(): ReadonlySet<Output> {
    return this.#reached;
  }

  /** Whether everything it gave is with its outputs for good. */
  get isDurable(): boolean {
    return [...this.#reached].every((output) => output.isSettled && output.isDurable);
  }

  /** The outputs that records of the tags may get to which it may give now. */
  reach(): ReadonlySet<Output> {
    return new Set(this.input.tags().flatMap((tag) => this.router.reach(tag)));
  }

  /** Why it has to wait for outputs or rules, by the routes of the tags that it may give records now. */
  reasonToWait(): Wait | undefined {
    for (const tag of this.input.tags()) {
      const wait = reasonOfTag(this.router, tag);
      if (wait !== undefined) return wait;
    }
    return undefined;
  }

  /** Reads about one chunk and hands it to outputs; whether there may be more at once. */
  turn(nowMs: number, wallMs: number): boolean {
    const worked = this.input.turn(this.router, nowMs, wallMs);
    for (const output of this.router.flush()) this.#reached.add(output);
    this.input.commit();
    return worked;
  }

  /** Forgets what the last turn read: it will be read again. */
  rollback(): void {
    this.router.discard();
    this.input.rollback();
  }

  /** Whether one of these outputs took records of it. */
  reachesAny(outputs: ReadonlySet<Output>): boolean {
    for (const output of this.#reached) if (outputs.has(output)) return true;
    return false;
  }

  /** Where to go on after a restart. */
  marks(): readonly Mark[] {
    let isSettled = true;
    for (const output of this.#reached) {
      if (!output.isDurable) return this.#saved;
      isSettled &&= output.isSettled;
    }
    if (isSettled) this.#safe = markedAs(this.behind, this.input.marks());
    return this.#safe;
  }

  /** The last positions that were durable. */
  get savedMarks(): readonly Mark[] {
    return this.#saved;
  }

  /** These positions are durable now. */
  saved(marks: readonly Mark[]): void {
    this.#saved = marks;
    this.input.saved(marks);
  }
}

/** Positions as those of an output that is behind, or as they are. */
function markedAs(behind: Output | undefined, marks: readonly Mark[]): readonly Mark[] {
  return behind === undefined ? marks : marks.map((mark) => ({ ...mark, behind: behind.config.alias }));
}

/** Positions as those of nobody who is behind. */
export function unmarked(marks: readonly Mark[]): readonly Mark[] {
  return marks.map((mark) => {
    const own: Mark & { behind?: string } = { ...mark };
    delete own.behind;
    return own;
  });
}

/** Why records of a tag have to wait; undefined when there is room for them wherever they go. */
export function reasonOfTag(router: Router, tag: string): Wait | undefined {
  if (router.lacksRules(tag)) {
    const why = "the shipper config has an output detect, and no rules are applied yet";
    return { code: "detect/no-rules", why };
  }
  const full = router.reach(tag).find((output) => output.isFull);
  if (full === undefined) return undefined;
  return { code: "input/waiting", why: `the queue of output "${full.config.alias}" is full` };
}
