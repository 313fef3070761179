import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { endless } from "./pages.ts";
import { countOf } from "./output/text.ts";

/** Calls of one look. Each looks at a bounded number of alerts, so that what is rare among very many takes thousands. */
const callsMax = 2_000;
/** How often a look that takes long says how far it is. */
const sayEveryMs = 5_000;

interface LookedPage {
  readonly nextPageToken: string;
  /** How far back the server looked for it. */
  readonly lookedBackTo?: Timestamp | undefined;
}

interface LookBack {
  /** At most so many are wanted. */
  readonly limit: number;
  /** What one of them is called. */
  readonly noun: string;
  readonly say: (line: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Found<T> {
  readonly items: readonly T[];
  readonly isMore: boolean;
  /** Where a look ended that did not come to the end. */
  readonly stopped?: Stopped;
}

interface Stopped {
  readonly at: Timestamp | undefined;
  /** Those that were answered. */
  readonly calls: number;
  /** What the next call failed with, when that is why: to be thrown when all else is said. */
  readonly failure?: unknown;
}

/**
 * Looks back page by page, of which many may be empty, until there are enough, nothing follows, so many calls were made, or one failed after
 * others were answered; what was found is never thrown away. Throws when the first call fails, or a server sends the same token twice.
 */
export async function lookBack<P extends LookedPage, T>(
  get: (pageToken: string) => Promise<P>,
  itemsOf: (page: P) => readonly T[],
  { limit, noun, say, now }: LookBack,
): Promise<Found<T>> {
  const items: T[] = [];
  let [token, saidMs] = ["", now()];
  let before: P | undefined;
  for (let calls = 1; ; calls += 1) {
    let page: P;
    try {
      page = await get(token);
    } catch (failure) {
      if (before === undefined) throw failure;
      return { items, isMore: true, stopped: { at: before.lookedBackTo, calls: calls - 1, failure } };
    }
    before = page;
    items.push(...itemsOf(page));
    const isMore = page.nextPageToken !== "";
    if (!isMore || items.length >= limit) {
      return { items: items.slice(0, limit), isMore: isMore || items.length > limit };
    }
    if (page.nextPageToken === token) throw endless();
    if (calls >= callsMax) return { items, isMore, stopped: { at: page.lookedBackTo, calls } };
    token = page.nextPageToken;
    if (now() - saidMs < sayEveryMs) continue;
    saidMs = now();
    say(`${lookedTo(page.lookedBackTo)}: ${countOf(items.length, noun)} so far.`);
  }
}

/** That a look did not come to the end, in words. */
export function stoppedText({ at, calls, failure }: Stopped): string {
  const why = failure === undefined ? "and no further" : "until one failed";
  return `${lookedTo(at)} in ${countOf(calls, "call")} ${why}`;
}

/** How far back was looked, in words. */
export function lookedTo(time: Timestamp | undefined): string {
  return time === undefined ? "Looked further back" : `Looked back to ${iso(msOf(time)).slice(0, 19)}Z`;
}

/** A time for --until that leaves out nothing before it: to the next millisecond. */
export function untilText(time: Timestamp): string {
  return iso(msOf(time) + 1);
}

const iso = (ms: number) => new Date(ms).toISOString();

function msOf({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1000 + Math.floor(nanos / 1e6);
}
