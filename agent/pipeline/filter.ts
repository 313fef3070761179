import type { FilterConfig } from "#shipper";
import type { Draft } from "./draft.ts";

/** One filter of the config. It may keep state, so that there is one for all tags that pass it. */
export interface Filter {
  readonly config: FilterConfig;
  /** Changes the record or leaves it; the reason when the record is to be dropped. */
  apply(draft: Draft): string | undefined;
}

/** Counts of one filter, cumulative since the pipeline began, over all configs that had a filter of this plugin and alias. */
export interface FilterCounters {
  records: number;
  bytes: number;
  changed: number;
  dropped: number;
  droppedBytes: number;
  readonly drops: Map<string, number>;
}

export function newFilterCounters(): FilterCounters {
  return { records: 0, bytes: 0, changed: 0, dropped: 0, droppedBytes: 0, drops: new Map() };
}

/** What a filter has to say about itself, cumulative since the pipeline began. */
export interface FilterStats {
  readonly alias: string;
  readonly plugin: string;
  /** Records that came in. */
  readonly records: number;
  /** Their bytes, as they were read. */
  readonly bytes: number;
  /** Records that left in another form. */
  readonly changed: number;
  /** Records that did not leave, and their bytes as they were read. */
  readonly dropped: number;
  readonly droppedBytes: number;
  /** Why they did not; reasons are given by the config, not by records. */
  readonly drops: readonly { readonly reason: string; readonly records: number }[];
}

const reasonsMax = 100;

/** A filter with its counters. */
export class CountedFilter {
  readonly filter: Filter;
  readonly #counters: FilterCounters;

  constructor(filter: Filter, counters: FilterCounters) {
    this.filter = filter;
    this.#counters = counters;
  }

  /** Whether the record goes on. */
  apply(draft: Draft): boolean {
    const before = draft.changes;
    const reason = this.filter.apply(draft);
    const counters = this.#counters;
    counters.records++;
    counters.bytes += draft.sourceBytes;
    if (reason === undefined) {
      if (draft.changes !== before) counters.changed++;
      return true;
    }
    counters.dropped++;
    counters.droppedBytes += draft.sourceBytes;
    // Reasons are few; configs that come and go may still bring new ones.
    const isKept = counters.drops.has(reason) || counters.drops.size < reasonsMax;
    const kept = isKept ? reason : "other reasons";
    counters.drops.set(kept, (counters.drops.get(kept) ?? 0) + 1);
    return false;
  }

  stats(): FilterStats {
    const { alias, plugin } = this.filter.config;
    const { drops, ...counts } = this.#counters;
    return {
      alias,
      plugin,
      ...counts,
      drops: [...drops].map(([reason, records]) => ({ reason, records })),
    };
  }
}
