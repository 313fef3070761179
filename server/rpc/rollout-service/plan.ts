import { create } from "@bufbuild/protobuf";

import {
  BundleDiffSchema,
  LayerEffectSchema,
  PlanSchema,
  RolloutClusterSchema,
  RolloutClusterState,
  WaveSchema,
  type BundleDiff,
  type LayerEffect,
  type Plan,
  type PlanRolloutRequest,
} from "#proto/fleet/v1/rollout";

import { parseId } from "../../domain/ids.ts";
import { heldBy } from "../../domain/people/hold.ts";
import { invalid, refuse } from "../../domain/refusal.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import { isFinished } from "../../domain/rollout.ts";
import { failuresAllowed, unavailableAllowed } from "../../domain/rollout-strategy.ts";
import { inScope, wholeFleet, type Scope } from "../../domain/scope.ts";
import { matchesSelector } from "../../domain/selector.ts";
import { findBundleNames, type BundleName } from "../../store/bundles.ts";
import { componentOf } from "../../domain/component.ts";
import { readFleet } from "../../store/fleet.ts";
import { findFreeze, toFreeze } from "../../store/freezes.ts";
import type { Db } from "../../store/pool.ts";
import { findRollout, listRolloutClusterIds } from "../../store/rollouts.ts";
import type { Operator } from "../caller.ts";
import { refOf, toBundleRef } from "../messages.ts";
import { orRefuse } from "../refusals.ts";
import { compareBundles } from "./compare.ts";
import type { Comparison } from "./comparison.ts";
import { confine } from "./confine.ts";
import type { CoverageLoss } from "../../loading/coverage.ts";
import { beyondScope } from "./decide.ts";
import { findEngineProblems } from "./engines.ts";
import { noteShown } from "./foresee.ts";
import type { TagChange } from "../../loading/tags.ts";
import { needOf } from "./held-plan.ts";
import { toApproval } from "./people-message.ts";
import { judgeStart } from "./people-spec.ts";
import { preparePlan, type Planning, type Prepared } from "./prepare.ts";
import { fromSpec, toGates } from "./spec.ts";

/** What a rollout would do, one that could be started or one that waits to begin. Stores nothing. */
export async function planAsked(
  db: Db,
  { spec: message, rolloutId }: PlanRolloutRequest,
  by: Operator,
  planning: Planning,
  now: Date,
): Promise<Plan> {
  if (rolloutId !== "") {
    if (message !== undefined) orRefuse(invalid("spec", "is stored with the rollout: leave it away"));
    return planOfRollout(db, rolloutId, by, planning, now);
  }
  const spec = orRefuse(await confine(db, orRefuse(fromSpec(message))));
  orRefuse(judgeStart(spec, now.getTime()));
  return picture(db, by.scope, spec, planning, now);
}

/**
 * The plan of a rollout that has not begun, made anew as it will be when it begins: from the spec that is stored, which the wire does
 * not hold in full, over the clusters of whoever started it. It names all of them, so the viewer has to see them.
 */
async function planOfRollout(
  db: Db,
  rolloutId: string,
  by: Operator,
  planning: Planning,
  now: Date,
): Promise<Plan> {
  const id = orRefuse(parseId("rollout", "rollout_id", rolloutId));
  const { pending, state, scope, spec } = orRefuse(await findRollout(db, by.scope, id));
  if (pending !== true || isFinished(state)) {
    const why = `Rollout ${id} is ${state}: only one that has not begun has a plan to look at, another has its waves`;
    orRefuse(refuse({ kind: "precondition", why }));
  }
  const seen = await listRolloutClusterIds(db, by.scope, id);
  const whole = await listRolloutClusterIds(db, wholeFleet, id);
  // Before it is planned, because a refusal names clusters, too.
  const fleet = await readFleet(db, scope, spec.kind, now);
  const isBeyond = fleet.some(
    ({ labels }) => matchesSelector(spec.selector, labels) && !inScope(by.scope, labels),
  );
  if (isBeyond || seen.size < whole.size) orRefuse(beyondScope(by, id));
  return picture(db, scope, spec, planning, now);
}

async function picture(
  db: Db,
  scope: Scope,
  spec: RolloutSpec,
  { approvals, loader }: Planning,
  now: Date,
): Promise<Plan> {
  const prepared = orRefuse(await preparePlan(db, scope, spec, now));
  const clusters = prepared.plan.waves.flatMap((wave) => wave.clusters);
  const names = await findBundleNames(db, [...new Set(clusters.flatMap(({ previous }) => previous ?? []))]);
  const compared = orRefuse(await compareBundles(db, loader, prepared));
  noteShown(prepared.planDigest);
  const need = needOf(approvals, spec, prepared);
  const freeze = await findFreeze(db, now);
  const held = heldBy(spec, freeze === undefined ? undefined : toFreeze(freeze), now.getTime());
  return create(PlanSchema, {
    ...(need === undefined ? {} : { approval: toApproval(need, []) }),
    held: held ?? "",
    digest: prepared.planDigest,
    bundle: toBundleRef(prepared.bundle),
    waves: wavesOf(prepared, names),
    unchanged: namesOf(prepared, prepared.plan.unchanged),
    silent: namesOf(prepared, prepared.plan.silent),
    engineProblems: [...(await findEngineProblems(db, prepared))],
    ...boundsOf(spec, clusters.length),
    diffs: diffsOf(prepared, compared, names),
    layerEffects: layerEffectsOf(compared),
    gates: toGates(spec),
  });
}

/** What shares come to in this plan. */
function boundsOf(spec: RolloutSpec, clusters: number) {
  const unavailable = unavailableAllowed(spec, clusters);
  return {
    maxUnavailable: Number.isFinite(unavailable) ? unavailable : 0,
    maxFailures: failuresAllowed(spec, clusters),
  };
}

function wavesOf({ plan, bundle }: Prepared, names: ReadonlyMap<string, BundleName>) {
  return plan.waves.map((wave) =>
    create(WaveSchema, {
      name: wave.name,
      clusters: wave.clusters.map((cluster) => {
        const previous = refOf(names, componentOf(bundle), cluster.previous);
        return create(RolloutClusterSchema, {
          clusterId: cluster.id,
          clusterName: cluster.name,
          state: RolloutClusterState.WAITING,
          ...(previous === undefined ? {} : { previous }),
        });
      }),
    }),
  );
}

/** People know clusters by name. */
function namesOf({ fleet }: Prepared, ids: readonly string[]): string[] {
  const wanted = new Set(ids);
  return fleet.filter((cluster) => wanted.has(cluster.id)).map((cluster) => cluster.name);
}

/**
 * Which layers apply where, whatever is replaced there. None when no layer applies anywhere: a bundle without layers is the
 * same everywhere.
 */
function layerEffectsOf(compared: readonly Comparison[]): LayerEffect[] {
  if (compared.every(({ layers }) => layers.length === 0)) return [];
  return [...Map.groupBy(compared, ({ layers }) => layers.join()).values()]
    .map((group) =>
      create(LayerEffectSchema, {
        layers: [...(group[0]?.layers ?? [])],
        clusterNames: group.flatMap(({ clusters }) => clusters).toSorted(),
      }),
    )
    .toSorted((a, b) => b.clusterNames.length - a.clusterNames.length);
}

function diffsOf(
  { bundle }: Prepared,
  compared: readonly Comparison[],
  names: ReadonlyMap<string, BundleName>,
): BundleDiff[] {
  return compared.map(({ from: digest, layers, clusters, change }) => {
    const from = refOf(names, componentOf(bundle), digest);
    return create(BundleDiffSchema, {
      ...(from === undefined ? {} : { from }),
      to: toBundleRef(bundle),
      added: [...change.added],
      removed: [...change.removed],
      changed: [...change.changed],
      clusterCount: clusters.length,
      layers: [...layers],
      ...toTags(change.tags),
      layerNotes: [...(change.layerNotes ?? [])],
      ...(change.loss === undefined ? {} : { loss: toLoss(change.loss) }),
    });
  });
}

function toTags(tags: TagChange | undefined) {
  if (tags === undefined) return {};
  const { rulesBefore, rulesAfter, gained, lost } = tags;
  return { rulesBefore, rulesAfter, tagsGained: [...gained], tagsLost: [...lost] };
}

const requestsShownMax = 100;

function toLoss({ removed, disabled, protected: protection, requestsBefore, requestsLost }: CoverageLoss) {
  return {
    removed: [...removed],
    disabled: [...disabled],
    protected: [...protection],
    requestsBefore,
    requestsLost: requestsLost.length,
    requests: requestsLost.slice(0, requestsShownMax),
  };
}
