import { otherActors, otherRules } from "./alert-group.ts";

/** How much of one cluster is kept. */
export interface IntakeBounds {
  /** Alerts stored in an hour, but for the few of each rule and group that are stored whatever else there is. */
  readonly storedPerHourMax: number;
  /** Groups that are kept apart. */
  readonly groupsMax: number;
}

export const defaultIntakeBounds: IntakeBounds = { storedPerHourMax: 20_000, groupsMax: 2_000 };

/** Rules that are counted by name in an hour. */
export const intakeRulesMax = 500;

/** Error and what is worse. */
const severeMax = 3;

/**
 * How the bound of an hour is dealt out. One rule gets half of it and what is less severe than Error three quarters, so that nobody
 * fills it with what anybody can cause. The first alerts of each rule are stored beyond it.
 */
function sharesOf({ storedPerHourMax: all }: IntakeBounds) {
  return {
    all,
    ofMild: Math.ceil((all * 3) / 4),
    ofRule: Math.ceil(all / 2),
    firstOfRule: Math.min(100, Math.ceil(all / 200)),
  };
}

/** What is known of a cluster before a batch of it is stored. */
export interface IntakeFacts {
  /** Alerts stored in this hour, by rule. */
  readonly stored: ReadonlyMap<string, number>;
  /** Those of the batch's groups that are there. */
  readonly groups: ReadonlySet<string>;
  /** Those of them that got an alert in this hour. */
  readonly heardGroups: ReadonlySet<string>;
  readonly groupCount: number;
}

/** What becomes of an alert. */
export interface IntakePlace {
  readonly isStored: boolean;
  readonly groupId: string;
  readonly group: { readonly rule: string; readonly actor: string };
  /** The rule under which it is counted. */
  readonly countedAs: string;
}

export type GroupIdOf = (rule: string, actor: string) => string;

/** What the place of an alert hangs on. */
interface Arrival {
  readonly rule: string;
  readonly actor: string;
  /** Falco's number. */
  readonly priority: number;
}

/**
 * Finds each alert of a batch its place. Beyond the bound of the hour it is counted by rule and by group and not stored, so
 * that a flood fills no disk and still shows; but the first alerts of a rule and the first of a group in the hour always are, so that
 * no flood hides what else happens. Groups beyond their bound are put together: first the actors of a rule, then all rules.
 */
export function planIntake(
  batch: readonly Arrival[],
  facts: IntakeFacts,
  bounds: IntakeBounds,
  groupIdOf: GroupIdOf,
): readonly IntakePlace[] {
  const shares = sharesOf(bounds);
  const stored = new Map(facts.stored);
  const heard = new Set(facts.heardGroups);
  let total = sum(stored.values());
  const placeGroup = groupPlacer(facts, bounds, groupIdOf);
  return batch.map(({ rule, actor, priority }) => {
    const countedAs = stored.has(rule) || stored.size < intakeRulesMax ? rule : "";
    const ofRule = stored.get(countedAs) ?? 0;
    const placed = placeGroup(rule, actor);
    const isFirst = ofRule < shares.firstOfRule || !heard.has(placed.groupId);
    const hasRoom = total < (priority <= severeMax ? shares.all : shares.ofMild) && ofRule < shares.ofRule;
    const isStored = isFirst || hasRoom;
    heard.add(placed.groupId);
    stored.set(countedAs, ofRule + (isStored ? 1 : 0));
    total += isStored ? 1 : 0;
    return { isStored, countedAs, ...placed };
  });
}

function groupPlacer(facts: IntakeFacts, bounds: IntakeBounds, groupIdOf: GroupIdOf) {
  const groups = new Set(facts.groups);
  let groupCount = facts.groupCount;
  return (rule: string, actor: string): Pick<IntakePlace, "groupId" | "group"> => {
    const choices = [
      { rule, actor, max: bounds.groupsMax },
      { rule, actor: otherActors, max: Math.ceil(bounds.groupsMax * 1.25) },
    ];
    for (const choice of choices) {
      const groupId = groupIdOf(choice.rule, choice.actor);
      if (!groups.has(groupId) && groupCount >= choice.max) continue;
      if (!groups.has(groupId)) groupCount += 1;
      groups.add(groupId);
      return { groupId, group: { rule: choice.rule, actor: choice.actor } };
    }
    return { groupId: groupIdOf(otherRules, otherActors), group: { rule: otherRules, actor: otherActors } };
  };
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
