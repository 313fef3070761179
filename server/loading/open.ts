import type { LoadingLimits } from "../limits.ts";
import type { Metrics } from "../metrics.ts";
import { createBundleLoader, type BundleLoader } from "./loader.ts";
import type { Threads } from "./threads.ts";

/** The loader of a server, which shows in its metrics; with threads of somebody else where they are given. */
export function openLoader(
  limits: LoadingLimits,
  metrics: Metrics,
  threads: Threads | undefined,
): BundleLoader {
  const loader = createBundleLoader({
    limits,
    ...(threads === undefined ? {} : { threads }),
    onRefused: (reason) => metrics.countRefused("load", reason),
  });
  metrics.gauge("falconry_loads_in_work", "Threads that load bundles now, of two.", () => loader.inWork);
  metrics.gauge(
    "falconry_loads_waiting",
    "Pieces of such work that wait for a thread.",
    () => loader.waiting,
  );
  return loader;
}
