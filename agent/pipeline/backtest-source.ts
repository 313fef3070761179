import type { EventRing } from "./event-ring.ts";
import { failure } from "./load-bundle.ts";
import type { BundleSource, PipelineFacts } from "./load-bundle.ts";
import type { BacktestSourceResult } from "./messages.ts";

const noRing =
  "No events are kept here: set backtest_ring on in the service section of the shipper config, and wait until some have passed";

/** What a backtest replays, with all that was read until now; refused where nothing is kept or no rules run. */
export async function backtestSource(
  ring: EventRing,
  folder: string,
  rules: BundleSource | undefined,
  facts: PipelineFacts | undefined,
): Promise<BacktestSourceResult> {
  if (rules === undefined || facts === undefined) {
    return failure("rules", "backtest/nothing-runs", "No rules run here that it could be compared with");
  }
  if (!ring.isOn) return failure("rules", "backtest/no-ring", noRing);
  await ring.flush();
  const { path, digest } = rules;
  return { ok: true, source: { folder, rules: { path, digest }, facts } };
}
