import { create } from "@bufbuild/protobuf";

import {
  BundleDiffSchema,
  PlanSchema,
  RolloutClusterSchema,
  RolloutClusterState,
  WaveSchema,
  type BundleDiff,
  type Plan,
} from "#proto/fleet/v1/rollout";

import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import { failuresAllowed, unavailableAllowed } from "../../domain/rollout-strategy.ts";
import type { Scope } from "../../domain/scope.ts";
import { findBundleNames, type BundleName } from "../../store/bundles.ts";
import type { Db } from "../../store/pool.ts";
import { refOf, toBundleRef } from "../messages.ts";
import { orRefuse } from "../refusals.ts";
import { compareBundles } from "./compare.ts";
import type { CoverageLoss } from "./coverage.ts";
import { findEngineProblems } from "./engines.ts";
import type { TagChange } from "./tags.ts";
import { preparePlan, type Prepared } from "./prepare.ts";

/** What a rollout would do. Stores nothing. */
export async function plan(db: Db, scope: Scope, spec: RolloutSpec, now: Date): Promise<Plan> {
  const prepared = orRefuse(await preparePlan(db, scope, spec, now));
  const clusters = prepared.plan.waves.flatMap((wave) => wave.clusters);
  const names = await findBundleNames(db, [...new Set(clusters.flatMap(({ previous }) => previous ?? []))]);
  return create(PlanSchema, {
    digest: prepared.planDigest,
    bundle: toBundleRef(prepared.bundle),
    waves: wavesOf(prepared, names),
    unchanged: namesOf(prepared, prepared.plan.unchanged),
    silent: namesOf(prepared, prepared.plan.silent),
    engineProblems: [...(await findEngineProblems(db, prepared))],
    ...boundsOf(spec, clusters.length),
    diffs: await diffsOf(db, prepared, names),
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
        const previous = refOf(names, bundle.kind, cluster.previous);
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

async function diffsOf(
  db: Db,
  prepared: Prepared,
  names: ReadonlyMap<string, BundleName>,
): Promise<BundleDiff[]> {
  const { bundle } = prepared;
  return orRefuse(await compareBundles(db, prepared)).map(({ from: digest, layers, clusters, change }) => {
    const from = refOf(names, bundle.kind, digest);
    return create(BundleDiffSchema, {
      ...(from === undefined ? {} : { from }),
      to: toBundleRef(bundle),
      added: [...change.added],
      removed: [...change.removed],
      changed: [...change.changed],
      clusterCount: clusters.length,
      layers: [...layers],
      ...toTags(change.tags),
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
