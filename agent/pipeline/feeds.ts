import type { TailConfig } from "#shipper";
import { Feed, unmarked } from "./feed.ts";
import type { FeedOptions } from "./feed.ts";
import type { FileMark, Mark } from "./mark.ts";
import type { Output } from "./output.ts";
import type { Router } from "./router.ts";
import { TailInput } from "./tail-input.ts";

/** What feeds are made of. */
export interface FeedPorts {
  /** A router to some of the outputs. `isSecond` says that the records were routed before, to others. */
  readonly routerTo: (outputs: readonly Output[], isSecond: boolean) => Router;
  /** Opens the files of an input once more, from positions of its own, and never reads beyond the first reader. */
  readonly openAgain: (config: TailConfig, marks: readonly Mark[], first: TailInput) => TailInput;
  readonly onProblem: (code: string, message: string) => void;
}

/**
 * The feeds of a config: one for each input, and one for each output that is behind the others. Files are there to be read
 * again. So when the queue of an output is full, the output is let go: its records stay in the files, at a position of its
 * own, and the others go on. When it has room it reads on by itself, no further than the others are, and where it meets
 * them it joins them again.
 */
export class Feeds {
  readonly #outputs: readonly Output[];
  readonly #ports: FeedPorts;
  #feeds: readonly Feed[] = [];
  /** The second readers. */
  readonly #readers = new Map<Feed, TailInput>();

  constructor(outputs: readonly Output[], ports: FeedPorts) {
    this.#outputs = outputs;
    this.#ports = ports;
  }

  /** A steady list: one that is being gone through does not change. */
  get all(): readonly Feed[] {
    return this.#feeds;
  }

  /** Takes in an input that was opened at its positions, with those of outputs that are behind, which are taken up too. */
  add(input: Feed["input"], marks: readonly Mark[]): readonly Mark[] {
    const known = Map.groupBy(marks, (mark) => mark.behind);
    const behind = this.#outputs.filter((output) => known.has(output.config.alias));
    const others = this.#outputs.filter((output) => !behind.includes(output));
    const router = this.#ports.routerTo(others, false);
    this.#feeds = [...this.#feeds, new Feed({ input, router, marks: known.get(undefined) ?? [] })];
    const aliases = new Set(behind.map(({ config }) => config.alias));
    if (input instanceof TailInput) {
      for (const output of behind) {
        const own = known.get(output.config.alias) ?? [];
        this.#feeds = [...this.#feeds, this.#feedBehind(input, output, own, { marks: own })];
      }
    }
    return marks.filter((mark) => mark.behind !== undefined && !aliases.has(mark.behind));
  }

  /** Lets go of the outputs that a feed waits for, when there are others; whether there were. */
  split(feed: Feed): boolean {
    const { input } = feed;
    if (feed.behind !== undefined || !(input instanceof TailInput)) return false;
    const reach = [...feed.reach()];
    const full = reach.filter((output) => output.isFull);
    if (full.length === 0 || full.length === reach.length) return false;
    // What they took is theirs up to here; what of it is not on disk yet, they are held to the last position that was.
    const held = { safe: feed.marks(), marks: feed.savedMarks };
    const behind = this.#behind(input).map((one) => one.behind);
    const others = this.#outputs.filter((output) => !full.includes(output) && !behind.includes(output));
    const router = this.#ports.routerTo(others, false);
    const reached = [...feed.reached].filter((output) => !full.includes(output));
    const rest = new Feed({ ...held, input, router, reached });
    const here = input.marks();
    const slow = this.#feedsBehind(input, full, here, held);
    this.#feeds = [...this.#feeds.map((one) => (one === feed ? rest : one)), ...slow];
    for (const { config } of full) {
      const what = `The queue of output "${config.alias}" is full: the other outputs of input "${input.config.alias}" go on`;
      this.#ports.onProblem("output/behind", `${what}, and its records wait in the files`);
    }
    return true;
  }

  /** Takes back the outputs that have come to where the others are. */
  rejoin(): void {
    for (const slow of this.#feeds.filter((feed) => feed.behind !== undefined)) {
      const first = this.#feeds.find((feed) => feed.behind === undefined && isOfSameInput(feed, slow));
      if (first === undefined || !first.isDurable || !slow.isDurable || slow.behind?.isFull === true) {
        continue;
      }
      if (!isSamePlace(first.input.marks(), slow.input.marks())) continue;
      this.#join(first, slow);
    }
  }

  #join(first: Feed, slow: Feed): void {
    const { input } = first;
    const still = this.#behind(input).filter((one) => one !== slow);
    const others = this.#outputs.filter((output) => !still.some((one) => one.behind === output));
    const router = this.#ports.routerTo(others, false);
    // Behind what the first has: what a sync loses before the next checkpoint is read again by all.
    const marks = unmarked(slow.savedMarks);
    const whole = new Feed({ input, router, marks, reached: [...first.reached, ...slow.reached] });
    this.#feeds = this.#feeds.flatMap((one) => (one === slow ? [] : [one === first ? whole : one]));
    this.#leave(slow);
    const what = `Output "${slow.behind?.config.alias}" has caught up with the others of input "${input.config.alias}"`;
    this.#ports.onProblem("output/caught-up", what);
  }

  /** All of them or none: files that were opened before one could not be are closed again. */
  #feedsBehind(
    first: TailInput,
    outputs: readonly Output[],
    here: readonly Mark[],
    held: Pick<FeedOptions, "marks" | "safe">,
  ): readonly Feed[] {
    const made: Feed[] = [];
    try {
      for (const output of outputs) made.push(this.#feedBehind(first, output, here, held));
    } catch (error) {
      for (const feed of made) this.#leave(feed);
      throw error;
    }
    return made;
  }

  #leave(slow: Feed): void {
    this.#readers.get(slow)?.close();
    this.#readers.delete(slow);
  }

  #feedBehind(
    first: TailInput,
    output: Output,
    here: readonly Mark[],
    held: Pick<FeedOptions, "marks" | "safe">,
  ): Feed {
    const input = this.#ports.openAgain(first.config, unmarked(here), first);
    const router = this.#ports.routerTo([output], true);
    const feed = new Feed({ ...held, input, router, reached: [output], behind: output });
    this.#readers.set(feed, input);
    return feed;
  }

  #behind(input: Feed["input"]): readonly Feed[] {
    return this.#feeds.filter((feed) => feed.behind !== undefined && isOfSameInput(feed, { input }));
  }
}

function isOfSameInput(one: Pick<Feed, "input">, other: Pick<Feed, "input">): boolean {
  return one.input.config === other.input.config;
}

/** Whether two readers of the same files have done the same: files that both have done with do not count. */
function isSamePlace(one: readonly Mark[], other: readonly Mark[]): boolean {
  const [a, b] = [placesOf(one), placesOf(other)];
  return a.size === b.size && [...a].every(([file, place]) => b.get(file) === place);
}

function placesOf(marks: readonly Mark[]): ReadonlyMap<string, string> {
  const files = marks.filter((mark): mark is FileMark => mark.kind === "file" && !mark.done);
  return new Map(
    files.map(({ device, inode, base, offset, ahead }) => [
      `${device}:${inode}:${base}`,
      JSON.stringify([offset, ahead]),
    ]),
  );
}
