import { accept, type Outcome } from "../../domain/refusal.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { Scope } from "../../domain/scope.ts";
import type { BundleLoader } from "../../loading/loader.ts";
import type { Db } from "../../store/pool.ts";
import { guardCoverage } from "./compare.ts";
import { preparePlan } from "./prepare.ts";

const shown = new Set<string>();
/** The oldest makes room: what it compares is compared again. */
const shownMax = 100;

/** A plan that people see was compared for that. */
export function noteShown(planDigest: string): void {
  shown.delete(planDigest);
  shown.add(planDigest);
  const [oldest] = shown;
  if (shown.size > shownMax && oldest !== undefined) shown.delete(oldest);
}

/**
 * Compares what a start will compare, before it holds a lock that others wait for: under the lock it is found remembered. Refused only
 * when bundles cannot be loaded now. A plan that was shown here has been compared. Whatever else is wrong is said under the lock, where a request that is repeated comes first.
 */
export async function foresee(
  db: Db,
  scope: Scope,
  spec: RolloutSpec,
  loader: BundleLoader,
  now: Date,
  planDigest = "",
): Promise<Outcome<true>> {
  if (shown.has(planDigest)) return accept(true);
  const prepared = await preparePlan(db, scope, spec, now);
  if (!prepared.ok) return accept(true);
  const guarded = await guardCoverage(db, loader, spec, prepared.value);
  if (guarded.ok) return guarded;
  const { kind } = guarded.refusal;
  return kind === "unavailable" || kind === "over-limit" ? guarded : accept(true);
}
