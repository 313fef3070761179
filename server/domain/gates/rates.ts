/** The gates over minute rates: what is read, lost, late, and what detection costs. */
import type { GateCluster, GateFacts, Minute } from "./facts.ts";
import { renderAmount, type GateSetting, type GateVerdict } from "./gate.ts";
import { cutOf } from "./quorum.ts";
import {
  clamp,
  deviation,
  dispersion,
  median,
  mean,
  steadyRate,
  sum,
  trimmed,
  trimmedMean,
} from "./statistics.ts";
import { decide, fine, missingRates, type Vote } from "./vote.ts";

/** So many standard errors are no chance any more: about one in three million if nothing changed. */
export const surely = 5;

/** A cluster reads less, or more, than it did itself before, beyond what the hold-out does at the same time. */
export function judgeIngest(setting: GateSetting, { wave, size, holdOut }: GateFacts): GateVerdict {
  const drift = driftOf(holdOut, readRatio);
  const ratios = wave.map(readRatio);
  const votes = wave.map((cluster, i): Vote => {
    const missing = missingRates(cluster);
    const ratio = ratios[i];
    if (missing !== undefined) return missing;
    if (ratio === undefined) return fine;
    const change = ratio / drift;
    const isFar = change < 1 - setting.limit || change > 1 / (1 - setting.limit);
    if (!isFar || !isSurelyOther(cluster, drift)) return fine;
    return { kind: "over", by: `reads ${percent(change)} of what it did` };
  });
  const known = ratios.flatMap((ratio) => (ratio === undefined ? [] : [ratio / drift]));
  const together = togetherFar(known, cutOf(size), 1 - setting.limit);
  return decide({
    setting,
    wave,
    size,
    votes,
    measured: known.length === 0 ? "" : `${percent(middle(known))} of before`,
    over: "read much less or more than before",
    fine:
      known.length === 0 ? "too quiet to compare" : `what is read is what was read before${against(holdOut)}`,
    ...(together === undefined ? {} : { together: `the wave reads ${percent(together)} of what it did` }),
  });
}

/** A cluster spends more time per event than it did itself before. */
export function judgeCost(setting: GateSetting, { wave, size, holdOut }: GateFacts): GateVerdict {
  const drift = driftOf(holdOut, costRatio);
  const ratios = wave.map(costRatio);
  const votes = wave.map((cluster, i): Vote => {
    const missing = missingRates(cluster);
    const ratio = ratios[i];
    if (missing !== undefined) return missing;
    if (ratio === undefined || ratio / drift <= 1 + setting.limit) return fine;
    const [past = 0, now = 0] = [costOf(cluster.past), costOf(cluster.now)];
    if (now - past * drift < leastCostUs) return fine;
    return { kind: "over", by: `${Math.round(past)} to ${Math.round(now)} us an event` };
  });
  const known = ratios.flatMap((ratio) => (ratio === undefined ? [] : [ratio / drift]));
  return decide({
    setting,
    wave,
    size,
    votes,
    measured: known.length === 0 ? "" : `${percent(middle(known))} of before`,
    over: "detect at a higher cost",
    fine: known.length === 0 ? "too quiet to compare" : "an event costs what it did",
  });
}

/** Records that were dropped or could not be delivered: more than the limit, and more than there were before. */
export function judgeDrops(setting: GateSetting, { wave, size }: GateFacts): GateVerdict {
  const votes = wave.map((cluster): Vote => {
    const missing = missingRates(cluster);
    if (missing !== undefined) return missing;
    const share = lostShare(cluster.now);
    const isMore = share > setting.limit && share > 2 * lostShare(cluster.past);
    if (!isMore || sum(cluster.now.map(({ lost }) => lost)) < leastLost) return fine;
    return { kind: "over", by: `lost ${renderAmount("drops", share)}` };
  });
  const shares = wave.filter(({ now }) => now.length > 0).map(({ now }) => lostShare(now));
  return decide({
    setting,
    wave,
    size,
    votes,
    measured: shares.length === 0 ? "" : renderAmount("drops", middle(shares)),
    over: "drop or park records",
    fine: "nothing worth the name is lost",
  });
}

/** Detection runs behind the log by more than it did. */
export function judgeLag(setting: GateSetting, { wave, size }: GateFacts): GateVerdict {
  const votes = wave.map((cluster): Vote => {
    const missing = missingRates(cluster);
    if (missing !== undefined) return missing;
    const lag = lagOf(cluster.now);
    const before = cluster.past.length === 0 ? 0 : lagOf(cluster.past);
    return lag <= setting.limit + before ? fine : { kind: "over", by: `${Math.round(lag)}s behind` };
  });
  const lags = wave.filter(({ now }) => now.length > 0).map(({ now }) => lagOf(now));
  return decide({
    setting,
    wave,
    size,
    votes,
    measured: lags.length === 0 ? "" : renderAmount("lag", middle(lags)),
    over: "run behind their logs",
    fine: "detection keeps up",
  });
}

/** Below this nothing is worth a stop, whatever the share. */
const leastCostUs = 10;
const leastLost = 10;
/** Under an event a minute, or ten in a minute for cost, nothing can be compared. */
const leastEvents = 1;
const leastCosted = 10;

function events(minutes: readonly Minute[]): readonly number[] {
  return minutes.map((minute) => minute.events);
}

/** What is read now over what was read before; undefined when it was too little. */
export function readRatio({ hasPrevious, past, now }: GateCluster): number | undefined {
  if (!hasPrevious) return undefined;
  const before = steadyRate(events(past));
  return before < leastEvents || now.length === 0 ? undefined : steadyRate(events(now)) / before;
}

function isSurelyOther({ past, now }: GateCluster, drift: number): boolean {
  const expected = steadyRate(events(past)) * drift;
  const spread = dispersion(events(past)) * expected;
  const error = Math.sqrt(spread / Math.max(now.length, 1) + spread / Math.max(past.length, 1));
  return Math.abs(steadyRate(events(now)) - expected) > surely * error;
}

function costOf(minutes: readonly Minute[]): number | undefined {
  const costed = minutes.filter((minute) => minute.events >= leastCosted);
  if (costed.length < 4) return undefined;
  return median(costed.map((minute) => minute.detectionUs / minute.events));
}

function costRatio({ hasPrevious, past, now }: GateCluster): number | undefined {
  if (!hasPrevious) return undefined;
  const [before, after] = [costOf(past), costOf(now)];
  return before === undefined || after === undefined || before === 0 ? undefined : after / before;
}

function lostShare(minutes: readonly Minute[]): number {
  const lost = sum(minutes.map((minute) => minute.lost));
  return lost === 0 ? 0 : lost / (lost + sum(events(minutes)));
}

function lagOf(minutes: readonly Minute[]): number {
  return median(minutes.map((minute) => minute.lagMs)) / 1000;
}

/** With fewer than this a hold-out is an anecdote. */
export const holdOutMin = 5;

/**
 * What happens to everybody at the same time: the middle of the hold-out's ratios. Bounded, so that a hold-out that
 * collapses excuses no wave that does.
 */
export function driftOf(
  holdOut: readonly GateCluster[],
  ratioOf: (cluster: GateCluster) => number | undefined,
): number {
  const ratios = holdOut.flatMap((cluster) => ratioOf(cluster) ?? []);
  return ratios.length < holdOutMin ? 1 : clamp(median(ratios), 0.5, 2);
}

function against(holdOut: readonly GateCluster[]): string {
  return holdOut.length < holdOutMin ? "" : `, beside ${holdOut.length} clusters that keep the old bundle`;
}

/** The mean change of a wave of five or more, when it is below `low` or above its inverse, and no chance. */
function togetherFar(changes: readonly number[], cut: number, low: number): number | undefined {
  if (changes.length < 5 || changes.length < 3 * cut) return undefined;
  const logs = trimmed(
    changes.map((change) => Math.log(Math.max(change, 0.001))),
    cut,
  );
  const change = Math.exp(mean(logs));
  const isSure = Math.abs(mean(logs)) > (surely * deviation(logs)) / Math.sqrt(logs.length);
  return (change < low || change > 1 / low) && isSure ? change : undefined;
}

function middle(values: readonly number[]): number {
  return trimmedMean(values, cutOf(values.length));
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}
