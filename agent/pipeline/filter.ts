import type { FilterConfig } from "#shipper";
import type { Draft } from "./draft.ts";

/** One filter of the config. It may keep state, so that there is one for all tags that pass it. */
export interface Filter {
  readonly config: FilterConfig;
  /** Changes the record or leaves it; the reason when the record is to be dropped. */
  apply(draft: Draft): string | undefined;
}

/** What a filter has to say about itself. Counters begin when its config is applied. */
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

/** A filter with its counters. */
export class CountedFilter {
  readonly filter: Filter;
  #records = 0;
  #bytes = 0;
  #changed = 0;
  #dropped = 0;
  #droppedBytes = 0;
  readonly #drops = new Map<string, number>();

  constructor(filter: Filter) {
    this.filter = filter;
  }

  /** Whether the record goes on. */
  apply(draft: Draft): boolean {
    const before = draft.changes;
    const reason = this.filter.apply(draft);
    this.#records++;
    this.#bytes += draft.sourceBytes;
    if (reason === undefined) {
      if (draft.changes !== before) this.#changed++;
      return true;
    }
    this.#dropped++;
    this.#droppedBytes += draft.sourceBytes;
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
    return false;
  }

  stats(): FilterStats {
    const { alias, plugin } = this.filter.config;
    return {
      alias,
      plugin,
      records: this.#records,
      bytes: this.#bytes,
      changed: this.#changed,
      dropped: this.#dropped,
      droppedBytes: this.#droppedBytes,
      drops: [...this.#drops].map(([reason, records]) => ({ reason, records })),
    };
  }
}
