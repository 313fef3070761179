import type { Input } from "./input.ts";
import type { Mark } from "./mark.ts";
import type { Output } from "./output.ts";
import type { Router } from "./router.ts";

/** Why an input may not read now: a code for the log, and words. */
export interface Wait {
  readonly code: string;
  readonly why: string;
}

/**
 * An input with what its records reach. It waits for the outputs of its own tags and for no others, and its positions stay
 * where they are while one of the outputs that took its records has them neither delivered nor on disk.
 */
export class Feed {
  readonly input: Input;
  /** Why it does not read, in words; undefined while it does. */
  waitingFor: string | undefined;
  /** Outputs that took records of it since it was opened; a file that is gone may have fed one, so none is forgotten. */
  readonly #reached = new Set<Output>();
  /** Positions that outputs had everything up to, and those of them that are durable. */
  #safe: readonly Mark[];
  #saved: readonly Mark[];

  /** `marks` is where the input was told to go on. */
  constructor(input: Input, marks: readonly Mark[]) {
    this.input = input;
    this.#safe = this.#saved = marks;
  }

  /** Why it has to wait for outputs or rules, by the routes of the tags that it may give records now. */
  reasonToWait(router: Router): Wait | undefined {
    for (const tag of this.input.tags()) {
      const wait = reasonOfTag(router, tag);
      if (wait !== undefined) return wait;
    }
    return undefined;
  }

  /** Reads about one chunk and hands it to outputs; whether there may be more at once. */
  turn(router: Router, nowMs: number, wallMs: number): boolean {
    const worked = this.input.turn(router, nowMs, wallMs);
    for (const output of router.flush()) this.#reached.add(output);
    this.input.commit();
    return worked;
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
    if (isSettled) this.#safe = this.input.marks();
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
