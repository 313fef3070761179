import { newHistogram, observeSeconds } from "./domain/histogram.ts";
import type { Histogram } from "./domain/histogram.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";

/** How long bundles took to load and to be swapped in, or to be refused. */
export interface ApplyTimes {
  readonly applied: Histogram;
  readonly refused: Histogram;
}

/** The pipeline, which tells with its figures how long it took to apply what it was given. */
export function timeApplies(pipeline: KeptPipeline): KeptPipeline {
  const applies: ApplyTimes = { applied: newHistogram(), refused: newHistogram() };
  return {
    ...pipeline,
    async apply(request, facts) {
      const begun = performance.now();
      let isApplied = false;
      try {
        const result = await pipeline.apply(request, facts);
        isApplied = result.ok;
        return result;
      } finally {
        observeSeconds(isApplied ? applies.applied : applies.refused, (performance.now() - begun) / 1000);
      }
    },
    async stats() {
      const stats = await pipeline.stats();
      return stats && { ...stats, applies };
    },
  };
}
