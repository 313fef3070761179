import type { FilterConfig, PipelineConfig } from "#shipper";
import type { Output } from "./output.ts";
import { openFilters } from "./filter-chain.ts";
import type { FilterCounters } from "./filter.ts";
import { newRouterCounters, Router } from "./router.ts";
import type { RouterCounters, RouterOptions } from "./router.ts";

export interface RoutersOptions extends Pick<RouterOptions, "clusterId" | "rules" | "onProblem"> {
  readonly counters: RouterCounters;
  /** Counters live longer than a config. */
  readonly filterCountersOf: (config: FilterConfig) => FilterCounters;
  /** The agent's clock, in ms. */
  readonly now: () => number;
}

/**
 * Makes routers to some of the outputs of a config. They share filters and counters; those for records that were routed
 * before have their own, so that nothing is counted twice.
 */
export function routersOf(
  config: PipelineConfig,
  { counters, filterCountersOf, now, ...rest }: RoutersOptions,
): (outputs: readonly Output[], isSecond: boolean) => Router {
  const filters = openFilters(config.filters, now, filterCountersOf);
  return (outputs, isSecond) => {
    const own = isSecond
      ? { counters: newRouterCounters(), filters: openFilters(config.filters, now) }
      : { counters, filters };
    return new Router({ ...rest, ...own, config, outputs, isSecond });
  };
}
