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
import type { Scope } from "../../domain/scope.ts";
import { findBundleNames, type BundleName } from "../../store/bundles.ts";
import type { Db } from "../../store/pool.ts";
import { readBundleContents } from "../../store/rollout-bundles.ts";
import { refOf, toBundleRef } from "../messages.ts";
import { orRefuse } from "../refusals.ts";
import { diffBundles } from "./diff.ts";
import { preparePlan, type Prepared } from "./prepare.ts";
import { toGates } from "./spec.ts";

/** What a rollout would do. Stores nothing. */
export async function plan(db: Db, scope: Scope, spec: RolloutSpec, now: Date): Promise<Plan> {
  const prepared = orRefuse(await preparePlan(db, scope, spec, now));
  const clusters = prepared.plan.waves.flatMap((wave) => wave.clusters);
  const replaced = Map.groupBy(clusters, (cluster) => cluster.previous ?? "");
  const names = await findBundleNames(db, [...replaced.keys()]);
  return create(PlanSchema, {
    digest: prepared.planDigest,
    bundle: toBundleRef(prepared.bundle),
    waves: wavesOf(prepared, names),
    unchanged: namesOf(prepared, prepared.plan.unchanged),
    silent: namesOf(prepared, prepared.plan.silent),
    diffs: await diffsOf(db, prepared, replaced, names),
    gates: toGates(spec),
  });
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
  { bundle }: Prepared,
  replaced: ReadonlyMap<string, readonly unknown[]>,
  names: ReadonlyMap<string, BundleName>,
): Promise<BundleDiff[]> {
  const contents = await readBundleContents(db, [bundle.digest, ...replaced.keys()]);
  const after = contents.get(bundle.digest);
  const diffs: BundleDiff[] = [];
  for (const [digest, clusters] of replaced) {
    const before = contents.get(digest);
    const from = refOf(names, bundle.kind, digest);
    if (after === undefined) continue;
    const change = await diffBundles(before, after);
    diffs.push(
      create(BundleDiffSchema, {
        ...(from === undefined ? {} : { from }),
        to: toBundleRef(bundle),
        added: [...change.added],
        removed: [...change.removed],
        changed: [...change.changed],
        clusterCount: clusters.length,
      }),
    );
  }
  return diffs;
}
