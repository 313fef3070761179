/** The gates over alerts by rule: too many of a rule that was there, too many of a new one, and a rule gone silent. */
import { burstiness, leastAlerts, missingAlerts, nowOf, pastOf, rateOf } from "./alert-facts.ts";
import { sliceMinutes, slicesMin, type GateCluster, type GateFacts } from "./facts.ts";
import { renderAmount, type GateSetting, type GateVerdict } from "./gate.ts";
import { cutOf, quorum } from "./quorum.ts";
import { holdOutMin, readRatio, surely } from "./rates.ts";
import { clamp, median, sum, trimmedMean } from "./statistics.ts";
import { decide, fine, type Vote } from "./vote.ts";

/** Expected of a rule before its silence says something: chance gives none of ten once in 22,000 times. */
const leastExpected = 10;
/** What stands for all rules together, where the alerts of a cluster do not come to the server and only their count does. */
export const allRules = "all rules together";

/** A rule that was there before fires more than its limit times as often in its own cluster, beyond the hold-out's drift. */
export function judgeAlerts(setting: GateSetting, facts: GateFacts): GateVerdict {
  const { wave, size, holdOut } = facts;
  const names = rulesOf(facts).filter((rule) => isInBoth(facts, rule));
  const byRule = names.map((rule) => {
    const drift = ruleDrift(holdOut, rule);
    return { rule, drift, votes: wave.map((cluster) => voteOnVolume(cluster, rule, setting.limit, drift)) };
  });
  const worst = byRule.toSorted((a, b) => countOver(b.votes) - countOver(a.votes))[0];
  const wide = byRule.find(({ rule, drift }) => isWide(facts, rule, setting.limit, drift));
  return decide({
    setting,
    wave,
    size,
    votes: worst?.votes ?? wave.map((cluster) => missingAlerts(cluster) ?? fine),
    measured: measuredVolume(wave, worst?.rule),
    over: `raise too many alerts of "${worst?.rule ?? ""}"`,
    fine: `no rule fires much more than before${beside(holdOut)}`,
    ...(wide === undefined
      ? {}
      : { together: `the wave raises more than ${setting.limit} times the alerts of "${wide.rule}"` }),
  });
}

/** A rule that is new to a cluster keeps to so many alerts an hour there. To one without a past every rule is. */
export function judgeNewAlerts(setting: GateSetting, facts: GateFacts): GateVerdict {
  const { wave, size } = facts;
  const isNewTo = (cluster: GateCluster, rule: string) =>
    !isInBoth(facts, rule) || (!cluster.hasPrevious && facts.rules !== undefined && rule !== allRules);
  const names = rulesOf(facts).filter((rule) => wave.some((cluster) => isNewTo(cluster, rule)));
  const byRule = names.map((rule) => ({
    rule,
    votes: wave.map((cluster): Vote => {
      const missing = missingAlerts(cluster);
      if (missing !== undefined) return missing;
      if (!isNewTo(cluster, rule)) return fine;
      const hours = cluster.watchedMinutes / 60;
      const now = nowOf(cluster, rule);
      if (now <= Math.max(leastAlerts, setting.limit * hours)) return fine;
      const rate = renderAmount("new-alerts", now / hours);
      // Whoever reads it should not look for what the bundle changed about the rule.
      const isYoung = isInBoth(facts, rule);
      return { kind: "over", by: isYoung ? `${rate}, with no time before to compare with` : rate };
    }),
  }));
  const worst = byRule.toSorted((a, b) => countOver(b.votes) - countOver(a.votes))[0];
  return decide({
    setting,
    wave,
    size,
    votes: worst?.votes ?? wave.map((cluster) => missingAlerts(cluster) ?? fine),
    measured:
      worst === undefined
        ? ""
        : perHour(
            wave.filter((cluster) => isNewTo(cluster, worst.rule)),
            worst.rule,
          ),
    // One that was there before is loud where there is no time before, which the votes say.
    over: `raise too many alerts of "${worst?.rule ?? ""}"${worst !== undefined && isInBoth(facts, worst.rule) ? "" : ", which is new to them"}`,
    fine: names.length === 0 ? "no new rule has fired" : "new rules keep to the limit",
  });
}

/**
 * A rule that fired steadily, that the new bundle still holds, and that is silent now though events go on. Judged over
 * the wave: chance silences a rule in one cluster, but not in most of them.
 */
export function judgeSilence(setting: GateSetting, facts: GateFacts): GateVerdict {
  const { wave, size, holdOut } = facts;
  const names = rulesOf(facts).filter((rule) => facts.rules?.after.has(rule) ?? true);
  const looks = names.map((rule) => silenceOf(wave, size, rule, ruleDrift(holdOut, rule)));
  const silent = looks.find(
    (look) =>
      look.isTold && look.share >= setting.limit && !isSilentEverywhere(holdOut, look.rule, setting.limit),
  );
  const told = looks.filter((look) => look.isTold).length;
  const worst = Math.max(0, ...looks.map((look) => (look.isTold ? look.share : 0)));
  return decide({
    setting,
    wave,
    size,
    votes: wave.map((cluster) => missingAlerts(cluster) ?? fine),
    measured: told === 0 ? "" : `${renderAmount("silence", worst)} silent`,
    over: "",
    fine:
      told === 0
        ? "no rule fires often enough to tell its silence"
        : `no rule went silent, of ${told} that can be told`,
    ...(silent === undefined
      ? {}
      : {
          together: `"${silent.rule}" fired steadily in ${silent.steady} clusters and is silent now in ${renderAmount("silence", silent.share)} of them, while events go on`,
        }),
  });
}

function rulesOf({ wave }: GateFacts): readonly string[] {
  return [...new Set(wave.flatMap((cluster) => cluster.rules.map(({ rule }) => rule)))].toSorted();
}

/** Whether a rule was there before. With a shipper config no rule is new. */
function isInBoth({ rules }: GateFacts, rule: string): boolean {
  return rules === undefined || rule === allRules || rules.before.has(rule);
}

/**
 * Whether the past of a cluster says what to expect of a rule. The count of all rules together comes with the rates, of which there
 * may be a few minutes only; the hour has six slices, and a minute of it may be lost.
 */
function hasPast(cluster: GateCluster, rule: string): boolean {
  if (!cluster.hasPrevious) return false;
  return rule !== allRules || pastOf(cluster, rule).length >= slicesMin - 1;
}

function voteOnVolume(cluster: GateCluster, rule: string, limit: number, drift: number): Vote {
  const missing = missingAlerts(cluster);
  if (missing !== undefined) return missing;
  // What is expected comes from its own past.
  if (!hasPast(cluster, rule)) return fine;
  const now = nowOf(cluster, rule);
  const bound = boundOf(cluster, rule, limit, drift);
  return now <= bound ? fine : { kind: "over", by: `${now} alerts, ${Math.floor(bound)} would pass` };
}

/** What a cluster may raise of a rule: the limit times its own past, with room for chance and for bursts as it had. */
function boundOf(cluster: GateCluster, rule: string, limit: number, drift: number): number {
  const most = limit * expectedOf(cluster, rule, drift);
  // Twice, because what is expected was itself counted.
  return Math.max(leastAlerts, most + surely * Math.sqrt(2 * burstiness(cluster, rule) * most));
}

function expectedOf(cluster: GateCluster, rule: string, drift: number): number {
  return ((rateOf(cluster, rule) * cluster.watchedMinutes) / sliceMinutes) * drift;
}

/** An attack on the whole fleet is no reason to stop the rules that may see it better. */
const ruleDriftMax = 10;

/** How the rule moved where nothing changed. */
function ruleDrift(holdOut: readonly GateCluster[], rule: string): number {
  const known = holdOut
    .filter((cluster) => hasPast(cluster, rule))
    .map((cluster) => ({ expected: expectedOf(cluster, rule, 1), now: nowOf(cluster, rule) }))
    .filter(({ expected }) => expected >= 1);
  const expected = sum(known.map((each) => Math.min(each.expected, leastExpected)));
  if (known.length < holdOutMin || expected < 2 * leastExpected) return 1;
  const ratios = known.map((each) => each.now / each.expected);
  return clamp(trimmedMean(ratios, cutOf(ratios.length)), 0.5, ruleDriftMax);
}

/** Whether a rule fires too often in the wave as a whole, without the clusters at both ends, where liars would be. */
function isWide({ wave, size }: GateFacts, rule: string, limit: number, drift: number): boolean {
  const able = wave.filter((cluster) => hasPast(cluster, rule) && missingAlerts(cluster) === undefined);
  const cut = cutOf(size);
  if (able.length < 5 || able.length < 3 * cut) return false;
  const excess = able.map((cluster) => {
    const most = limit * expectedOf(cluster, rule, drift);
    return { over: nowOf(cluster, rule) - most, spread: 2 * burstiness(cluster, rule) * Math.max(most, 1) };
  });
  const kept = excess.toSorted((a, b) => a.over - b.over).slice(cut, able.length - cut);
  const over = sum(kept.map((each) => each.over));
  return over > Math.max(leastAlerts, surely * Math.sqrt(sum(kept.map((each) => each.spread))));
}

interface SilenceLook {
  readonly rule: string;
  /** Clusters in which it fired steadily. */
  readonly steady: number;
  /** How many of those are silent. */
  readonly share: number;
  /** Whether enough was expected of it to say anything. */
  readonly isTold: boolean;
}

function silenceOf(wave: readonly GateCluster[], size: number, rule: string, drift: number): SilenceLook {
  const steady = wave.filter(
    (cluster) =>
      missingAlerts(cluster) === undefined &&
      hasPast(cluster, rule) &&
      firedSteadily(cluster, rule) &&
      goesOn(cluster),
  );
  const silent = steady.filter((cluster) => nowOf(cluster, rule) === 0);
  const expected = silent
    .map((cluster) => expectedOf(cluster, rule, drift) * weightOfSilence(burstiness(cluster, rule)))
    .toSorted((a, b) => a - b);
  // Without the loudest, so that a few who made up their past do not speak for the wave.
  const kept = expected.slice(0, Math.max(expected.length - cutOf(size), 0));
  // That so many of so many are silent by chance is at most the number of such choices times exp(-expected).
  const enough = sum(kept) >= leastExpected + logChoices(steady.length, kept.length);
  const isTold = steady.length > 0 && (silent.length === 0 || (enough && silent.length >= quorum(size)));
  return { rule, steady: steady.length, share: silent.length / Math.max(steady.length, 1), isTold };
}

/** What falls silent where nothing changed has another cause. */
function isSilentEverywhere(holdOut: readonly GateCluster[], rule: string, limit: number): boolean {
  const { steady, share } = silenceOf(holdOut, holdOut.length, rule, 1);
  return steady >= holdOutMin && share >= limit;
}

/** In at least ten of twelve slices: a rule that fires in bursts is silent by itself. */
function firedSteadily(cluster: GateCluster, rule: string): boolean {
  const past = pastOf(cluster, rule);
  return past.length > 0 && past.filter((count) => count > 0).length >= (past.length * 5) / 6;
}

/** Whether the cluster reads at least half of what it did. */
function goesOn(cluster: GateCluster): boolean {
  return (readRatio(cluster) ?? 0) >= 0.5;
}

/**
 * How much less a silence says about a rule that fires in bursts: none of m comes with probability exp(-m) by pure chance,
 * and with burstiness^(-m / (burstiness - 1)) when counts are spread like a negative binomial.
 */
function weightOfSilence(bursts: number): number {
  return bursts < 1.001 ? 1 : Math.log(bursts) / (bursts - 1);
}

/** The logarithm of in how many ways k of n can be chosen. */
function logChoices(n: number, k: number): number {
  return sum(Array.from({ length: k }, (_, i) => Math.log((n - i) / (i + 1))));
}

function countOver(votes: readonly Vote[]): number {
  return votes.filter((vote) => vote.kind === "over").length;
}

function measuredVolume(wave: readonly GateCluster[], rule: string | undefined): string {
  if (rule === undefined) return "";
  const ratios = wave.flatMap((cluster) => {
    const expected = expectedOf(cluster, rule, 1);
    return expected < 1 ? [] : [nowOf(cluster, rule) / expected];
  });
  return ratios.length === 0 ? "" : renderAmount("alerts", trimmedMean(ratios, cutOf(ratios.length)));
}

function perHour(wave: readonly GateCluster[], rule: string): string {
  const rates = wave.flatMap((cluster) =>
    cluster.watchedMinutes === 0 ? [] : [(nowOf(cluster, rule) * 60) / cluster.watchedMinutes],
  );
  return rates.length === 0 ? "" : renderAmount("new-alerts", median(rates));
}

function beside(holdOut: readonly GateCluster[]): string {
  return holdOut.length < holdOutMin ? "" : `, beside ${holdOut.length} clusters that keep the old bundle`;
}
