import { type ActiveRule, auditRules, indexRules, type IndexOptions } from "./active-rule.ts";
import type { Alert } from "./alert.ts";
import type { Frame, Slots } from "./compile.ts";
import type { RuleIndex } from "./rule-index.ts";
import type { RuleSet } from "./ruleset.ts";
import { Undecided } from "./undecided.ts";

/** A rule of the candidate that matches the event; its alert is written only for who asks, before the next event. */
export interface ShadowMatch {
  readonly rule: string;
  readonly write: () => Alert;
}

/** What a candidate gives for one event. */
export interface ShadowFinding {
  readonly matches: readonly ShadowMatch[];
  /** Rules that could not be decided. */
  readonly problems: readonly string[];
}

/**
 * Told of each event that was evaluated, with the alerts of the rules that run; they are final by then. `then` evaluates
 * the candidate on the same event, and only when it is called. Must not throw.
 */
export type Onlooker = (now: readonly Alert[], then: () => ShadowFinding) => void;

/**
 * Other rules beside those that run. They share the slots, so that a field which the rules that run have read, and a step
 * of its path that they have found, is not read again; the rest is their own, so that nothing they do is seen by the others.
 */
export class ShadowRules {
  private readonly index: RuleIndex<ActiveRule>;
  private readonly undecided: Undecided;
  private readonly isFirstOnly: boolean;

  constructor(ruleset: Pick<RuleSet, "compiled">, slots: Slots, options: IndexOptions) {
    this.index = indexRules(auditRules(ruleset.compiled), slots, options);
    this.undecided = new Undecided();
    this.isFirstOnly = options.ruleMatching === "first";
  }

  /** `shown` is the frame that alerts are written from. */
  evaluate(frame: Frame, shown: () => Frame): ShadowFinding {
    let matches: ShadowMatch[] | undefined;
    for (const { rule, matches: holds } of this.index.candidates(frame)) {
      if (!this.undecided.matches(rule.name, holds, frame)) continue;
      matches ??= [];
      matches.push({ rule: rule.name, write: () => rule.write(shown()) });
      if (this.isFirstOnly) break;
    }
    const problems = this.undecided.take();
    return matches === undefined && problems.length === 0 ? nothing : { matches: matches ?? none, problems };
  }
}

const none: readonly never[] = [];
const nothing: ShadowFinding = { matches: none, problems: none };
