import { judgeNeed, type ApprovalNeed, type ApprovalPolicy } from "../../domain/people/approval.ts";
import { planDifference, type PlanPicture } from "../../domain/people/difference.ts";
import { sentence } from "../../domain/refusal.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { Rollout } from "../../domain/rollout.ts";
import { findBundleNames } from "../../store/bundles.ts";
import type { Db } from "../../store/pool.ts";
import { readRolloutSnapshot } from "../../store/rollout-clusters.ts";
import { preparePlan, type Prepared } from "./prepare.ts";

/** Whose word a plan takes. */
export function needOf(
  policy: ApprovalPolicy,
  spec: RolloutSpec,
  { plan, fleet }: Prepared,
): ApprovalNeed | undefined {
  const labels = new Map(fleet.map((cluster) => [cluster.id, cluster.labels]));
  const moved = plan.waves.flatMap((wave) => wave.clusters.map(({ id }) => labels.get(id) ?? {}));
  return judgeNeed(policy, spec, moved);
}

/** The plan that a rollout has is the one that a new plan would be, or how it is not. */
export type PlanNow =
  | { readonly kind: "same"; readonly prepared: Prepared }
  | { readonly kind: "changed"; readonly why: string };

/** Makes the plan of a rollout that has not begun anew, over the clusters of whoever started it. */
export async function planAnew(db: Db, rollout: Rollout, now: Date): Promise<PlanNow> {
  const prepared = await preparePlan(db, rollout.scope, rollout.spec, now);
  if (!prepared.ok) return { kind: "changed", why: sentence(prepared.refusal) };
  if (prepared.value.planDigest === rollout.planDigest) return { kind: "same", prepared: prepared.value };
  const before = await pictureOf(db, rollout, now);
  const { bundle, plan, planDigest } = prepared.value;
  const after = { bundle: `${bundle.name}@${bundle.version}`, digest: bundle.digest, waves: plan.waves };
  return { kind: "changed", why: `${planDifference(before, after)}; the plan is ${planDigest} now` };
}

async function pictureOf(db: Db, rollout: Rollout, now: Date): Promise<PlanPicture> {
  const { clusters } = await readRolloutSnapshot(db, rollout, now);
  const name = (await findBundleNames(db, [rollout.digest])).get(rollout.digest);
  return {
    bundle: name === undefined ? rollout.digest : `${name.name}@${name.version}`,
    digest: rollout.digest,
    waves: rollout.waves.map((wave, i) => ({
      name: wave.name,
      clusters: clusters.filter((cluster) => cluster.wave === i),
    })),
  };
}

/** What a rollout says that does not begin because its plan is another one now. */
export function changedText(why: string): string {
  return `the plan changed: ${why}. Resume it to take the new plan, or abort it`;
}
