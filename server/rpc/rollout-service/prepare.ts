import { createHash } from "node:crypto";

import type { Digest } from "../../domain/ids.ts";
import type { ApprovalPolicy } from "../../domain/people/approval.ts";
import { accept, invalid, refuse, type Outcome } from "../../domain/refusal.ts";
import {
  canonicalPlan,
  planRollout,
  type FleetCluster,
  type RolloutPlan,
} from "../../domain/rollout-plan.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { Scope } from "../../domain/scope.ts";
import { matchesSelector } from "../../domain/selector.ts";
import type { BundleLoader } from "../../loading/loader.ts";
import { findBundleNames, type BundleName } from "../../store/bundles.ts";
import { readFleet } from "../../store/fleet.ts";
import type { Db } from "../../store/pool.ts";
import { findRolloutBundle, listReleasedNames } from "../../store/rollout-bundles.ts";

/** What plans are judged by and with. */
export interface Planning {
  /** Whose word rollouts take before they begin. */
  readonly approvals: ApprovalPolicy;
  readonly loader: BundleLoader;
}

/** A plan over the fleet as it is now, with the digest that names it. */
export interface Prepared {
  readonly bundle: BundleName & { readonly digest: Digest };
  readonly plan: RolloutPlan;
  readonly planDigest: string;
  readonly fleet: readonly FleetCluster[];
}

/** Computes the plan of a spec over the clusters of a scope: there are no others. Inside the transaction that starts it, or for showing only. */
export async function preparePlan(
  db: Db,
  scope: Scope,
  spec: RolloutSpec,
  now: Date,
): Promise<Outcome<Prepared>> {
  const fleet = await readFleet(db, scope, spec.kind, now);
  const wanted = spec.bundle === "" ? await chooseName(db, spec, fleet) : accept(spec.bundle);
  if (!wanted.ok) return wanted;
  const bundle = await findRolloutBundle(db, spec.kind, wanted.value);
  if (!bundle.ok) return bundle;
  const plan = planRollout(spec, bundle.value.digest, fleet);
  if (!plan.ok) return plan;
  const hash = createHash("sha256").update(canonicalPlan(spec, plan.value)).digest("hex");
  return accept({ bundle: bundle.value, plan: plan.value, planDigest: `sha256:${hash}`, fleet });
}

/**
 * Which bundle is meant when nobody says: the name that the chosen clusters have already, or the only name there is. A
 * choice between names is a person's.
 */
async function chooseName(
  db: Db,
  spec: RolloutSpec,
  fleet: readonly FleetCluster[],
): Promise<Outcome<string>> {
  const chosen = fleet.filter((cluster) => matchesSelector(spec.selector, cluster.labels));
  const digests = chosen.flatMap((cluster) => cluster.assigned ?? []);
  const assigned = new Set([...(await findBundleNames(db, digests)).values()].map(({ name }) => name));
  const names = assigned.size > 0 ? [...assigned] : await listReleasedNames(db, spec.kind);
  const [name] = names;
  if (name === undefined) {
    const why = `No ${spec.kind} bundle has been released yet: run fleetctl bundle push FOLDER --kind ${spec.kind} --sign`;
    return refuse({ kind: "precondition", why });
  }
  // Without a cluster there is nothing to choose for: the plan says so in better words.
  if (names.length === 1 || chosen.length === 0) return accept(name);
  const whose = assigned.size > 0 ? "the clusters have" : "there are";
  return invalid("bundle", `say which: ${whose} bundles of several names (${names.toSorted().join(", ")})`);
}
