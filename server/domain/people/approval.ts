import { accept, refuse, type Outcome } from "../refusal.ts";
import type { RolloutSpec } from "../rollout-spec.ts";

/** Which rollouts take the word of a second person; what the server is told from outside. */
export interface ApprovalPolicy {
  /** More clusters than this; undefined for no such bound. */
  readonly clustersMax?: number;
  /** A cluster with one of these labels. */
  readonly labels: readonly { readonly key: string; readonly value: string }[];
  /** An approval counts for so long, unless the rollout has begun. */
  readonly lifeMs: number;
}

/** How many other people a rollout needs, and why. */
export interface ApprovalNeed {
  readonly count: number;
  readonly why: string;
}

/** Who somebody is, whatever name they go by. */
export interface Person {
  /** The identity that logged in, or the token of whoever did not. */
  readonly person: string;
  readonly tokenId: string;
  readonly name: string;
  /** Who made the token, by name; absent for a login. */
  readonly madeBy?: string;
}

/** Somebody's word for one plan. */
export interface Approval {
  readonly planDigest: string;
  readonly person: string;
  readonly name: string;
  readonly reason: string;
  readonly atMs: number;
  readonly untilMs: number;
}

/** Long enough to call somebody; an emergency that nobody begins within it is none. */
export const emergencyLifeMs = 3_600_000;

/** Whether the policy wants other people's word for the clusters that a plan moves. */
export function judgeNeed(
  policy: ApprovalPolicy,
  spec: RolloutSpec,
  moved: readonly Readonly<Record<string, string>>[],
): ApprovalNeed | undefined {
  if (moved.length === 0) return undefined;
  if (spec.people?.emergency === true) {
    return { count: 1, why: "an emergency takes two people: who starts it, and one more" };
  }
  const label = policy.labels.find(({ key, value }) => moved.some((labels) => labels[key] === value));
  if (label !== undefined) {
    const many = moved.filter((labels) => labels[label.key] === label.value).length;
    return { count: 1, why: `it reaches ${many} with ${label.key}=${label.value}` };
  }
  if (policy.clustersMax !== undefined && moved.length > policy.clustersMax) {
    return {
      count: 1,
      why: `it reaches ${moved.length} clusters; up to ${policy.clustersMax} take nobody else`,
    };
  }
  return undefined;
}

/** Whether somebody is another person than those who started a rollout. */
export function judgeApprover(starters: readonly Person[], by: Person): Outcome<true> {
  const forbidden = (why: string) =>
    refuse({ kind: "forbidden", why: `${why}: somebody else has to approve it` });
  for (const starter of starters) {
    if (starter.person === by.person || starter.tokenId === by.tokenId) return forbidden("You started it");
    if (starter.name === by.name) return forbidden(`It was started by "${by.name}", which is your name, too`);
    if (by.madeBy !== undefined && by.madeBy === starter.name) {
      return forbidden(`Your token was made by "${starter.name}", who started it`);
    }
    if (starter.madeBy !== undefined && starter.madeBy === by.name) {
      return forbidden(`You made the token "${starter.name}", which started it`);
    }
  }
  return accept(true);
}

/** The approvals that count: of this plan, not lapsed, each person's once. */
export function standing(
  approvals: readonly Approval[],
  planDigest: string,
  nowMs: number,
): readonly Approval[] {
  const good = approvals.filter((each) => each.planDigest === planDigest && nowMs < each.untilMs);
  return [...new Map(good.map((each) => [each.person, each])).values()];
}

/** When an approval that is given now lapses. */
export function lapsesAtMs(policy: ApprovalPolicy, spec: RolloutSpec, nowMs: number): number {
  const lifeMs = spec.people?.emergency === true ? Math.min(policy.lifeMs, emergencyLifeMs) : policy.lifeMs;
  return nowMs + lifeMs;
}
