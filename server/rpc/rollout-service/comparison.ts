import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import type { BundleChange } from "../../loading/diff.ts";

/** Clusters to which a rollout means the same: one bundle replaces another, with the same layers of each. */
export interface Comparison {
  /** The digest of the bundle that is replaced; empty for none. */
  readonly from: string;
  readonly layers: readonly string[];
  readonly clusters: readonly string[];
  readonly change: BundleChange;
}

/** Each takes tens of milliseconds; more than these are a fleet that one plan should not be made for. */
const groupsMax = 200;

/** Refuses a plan that would compare too many groups of clusters. */
export function fewEnough(groups: number): Outcome<true> {
  if (groups <= groupsMax) return accept(true);
  const why = `The clusters have ${groups} combinations of bundles and layers; at most ${groupsMax} are compared in one plan: choose fewer clusters`;
  return refuse({ kind: "precondition", why });
}
