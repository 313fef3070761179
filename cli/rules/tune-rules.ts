import type { RuleSet } from "#engine";
import type { RecordedAlert } from "./alert-file.ts";
import { cautionFor } from "./excusable.ts";
import { findNoise, type NoiseOptions, type Proposal } from "./noise.ts";
import { renderOverrideFile } from "./override-file.ts";
import { judge, type Tuned, type Verdict, withProposals } from "./prove-tuning.ts";
import { replay, type Replay } from "./replay-tuning.ts";

/** What tuning came to: the file to load, and what is known about it. */
export interface Tuning {
  readonly alerts: number;
  /** Rules by their number of alerts. */
  readonly rules: readonly TunedRule[];
  /** Rules file with the exceptions; empty when nothing is proposed. */
  readonly override: string;
  readonly replay: Replay | undefined;
  /** Undefined when no tests were given. */
  readonly examples: number | undefined;
}

export interface TunedRule {
  readonly rule: string;
  readonly alerts: number;
  /** Alerts that none of the kept proposals excuses. */
  readonly left: number;
  readonly proposals: readonly JudgedProposal[];
}

export interface JudgedProposal extends Proposal {
  /** Alerts of the replayed events that are gone with this proposal alone; undefined without a replay. */
  readonly replayed: number | undefined;
  readonly caution: string | undefined;
  /** Must-fire examples that would be lost; the proposal is withdrawn when there are any. */
  readonly lost: readonly string[];
}

export interface TuningInput {
  readonly alerts: readonly RecordedAlert[];
  readonly noise: NoiseOptions;
  readonly tuned: Tuned | undefined;
  readonly events: AsyncIterable<readonly string[]> | undefined;
  readonly tests: readonly string[];
}

/** Proposes exceptions for what repeats among alerts, and proves them by what is at hand: events and tests. */
export async function tuneRules({ alerts, noise, tuned, events, tests }: TuningInput): Promise<Tuning> {
  const groups = [...Map.groupBy(alerts, ({ rule }) => rule)].toSorted(([, a], [, b]) => b.length - a.length);
  const found = groups.flatMap(([rule, of]) =>
    isKnown(rule, tuned?.ruleset) ? findNoise(rule, of, noise) : [],
  );
  const verdict: Verdict =
    tuned === undefined || tests.length === 0
      ? { kept: found, withdrawn: [], examples: 0 }
      : judge(tuned, found, tests);
  const { kept } = verdict;
  if (tuned !== undefined && kept.length > 0) withProposals(tuned, kept);
  const replayed =
    tuned === undefined || events === undefined ? undefined : await replay(tuned, kept, events);
  const judged = found.map((proposal): JudgedProposal => {
    const place = kept.indexOf(proposal);
    return {
      ...proposal,
      replayed: place < 0 ? undefined : replayed?.removedBy[place],
      caution: cautionFor(proposal.fields, proposal.values),
      lost: verdict.withdrawn.find((one) => one.proposal === proposal)?.lost ?? [],
    };
  });
  const rules = groups.map(([rule, of]): TunedRule => {
    const proposals = judged.filter((one) => one.rule === rule);
    const excused = proposals
      .filter(({ lost }) => lost.length === 0)
      .reduce((sum, one) => sum + one.alerts, 0);
    return { rule, alerts: of.length, left: Math.max(0, of.length - excused), proposals };
  });
  return {
    alerts: alerts.length,
    rules,
    override: kept.length === 0 ? "" : renderOverrideFile(kept, tuned?.ruleset),
    replay: replayed,
    examples: tests.length === 0 ? undefined : verdict.examples,
  };
}

function isKnown(rule: string, ruleset: RuleSet | undefined): boolean {
  return ruleset === undefined || ruleset.rules.some(({ name }) => name === rule);
}
