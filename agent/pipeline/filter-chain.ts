import type { FilterConfig } from "#shipper";
import type { Arena } from "./arena.ts";
import { Draft } from "./draft.ts";
import { GrepFilter } from "./filter-grep.ts";
import { MaskFilter } from "./filter-mask.ts";
import { ModifyFilter } from "./filter-modify.ts";
import { NestFilter } from "./filter-nest.ts";
import { ThrottleFilter } from "./filter-throttle.ts";
import { TypeConverterFilter } from "./filter-type-converter.ts";
import { CountedFilter, newFilterCounters } from "./filter.ts";
import type { Filter, FilterCounters } from "./filter.ts";
import type { RecordScanner } from "./scan.ts";

/** All filters that a tag passes, in the order of the config. */
export class FilterChain {
  readonly #filters: readonly CountedFilter[];
  readonly #draft = new Draft();

  constructor(filters: readonly CountedFilter[]) {
    this.#filters = filters;
  }

  /**
   * Appends the changed record and a newline to the arena. False when a filter dropped the record: then the arena is as
   * it was, and the filter has counted why. `shape` has to have scanned exactly these bytes.
   */
  apply(source: Buffer, start: number, end: number, shape: RecordScanner, arena: Arena): boolean {
    const draft = this.#draft;
    draft.begin(source, start, end, shape);
    for (const filter of this.#filters) if (!filter.apply(draft)) return false;
    draft.write(arena);
    return true;
  }

  get isEmpty(): boolean {
    return this.#filters.length === 0;
  }

  /** Whether something in the record that `apply` wrote last is masked. */
  get isMasked(): boolean {
    return this.#draft.hasClear;
  }

  /** Appends that record once more, as it would be without any mask. */
  putClear(arena: Arena): void {
    this.#draft.writeClear(arena);
  }
}

/** Makes the filters of a config. `now` is the agent's clock, in ms; counters live longer than a config. */
export function openFilters(
  configs: readonly FilterConfig[],
  now: () => number,
  countersOf: (config: FilterConfig) => FilterCounters = newFilterCounters,
): readonly CountedFilter[] {
  return configs.map((config) => new CountedFilter(openFilter(config, now), countersOf(config)));
}

function openFilter(config: FilterConfig, now: () => number): Filter {
  switch (config.plugin) {
    case "modify":
    case "record_modifier":
    case "cluster_facts":
      return new ModifyFilter(config);
    case "grep":
      return new GrepFilter(config);
    case "nest":
      return new NestFilter(config);
    case "throttle":
      return new ThrottleFilter(config, now);
    case "type_converter":
      return new TypeConverterFilter(config);
    case "mask":
      return new MaskFilter(config);
  }
}
