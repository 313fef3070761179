import { createHash } from "node:crypto";

import type { Digest } from "../../domain/ids.ts";
import { accept, type Outcome } from "../../domain/refusal.ts";
import {
  canonicalPlan,
  planRollout,
  type FleetCluster,
  type RolloutPlan,
} from "../../domain/rollout-plan.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { BundleName } from "../../store/bundles.ts";
import { readFleet } from "../../store/fleet.ts";
import type { Db } from "../../store/pool.ts";
import { findRolloutBundle } from "../../store/rollout-bundles.ts";

/** A plan over the fleet as it is now, with the digest that names it. */
export interface Prepared {
  readonly bundle: BundleName & { readonly digest: Digest };
  readonly plan: RolloutPlan;
  readonly planDigest: string;
  readonly fleet: readonly FleetCluster[];
}

/** Computes the plan of a spec. Inside the transaction that starts it, or for showing only. */
export async function preparePlan(db: Db, spec: RolloutSpec, now: Date): Promise<Outcome<Prepared>> {
  const bundle = await findRolloutBundle(db, spec.kind, spec.bundle);
  if (!bundle.ok) return bundle;
  const fleet = await readFleet(db, spec.kind, now);
  const plan = planRollout(spec, bundle.value.digest, fleet);
  if (!plan.ok) return plan;
  const hash = createHash("sha256").update(canonicalPlan(spec, plan.value)).digest("hex");
  return accept({ bundle: bundle.value, plan: plan.value, planDigest: `sha256:${hash}`, fleet });
}
