import { create } from "@bufbuild/protobuf";

import { RolloutSchema, type Rollout } from "#proto/fleet/v1/rollout";
import { RolloutSpecSchema, type RolloutSpec } from "#proto/fleet/v1/rollout_spec";

const because =
  "this rollout reaches beyond your scope; why it stands where it stands is told to those who see all of it";

/**
 * The part of a rollout that is in somebody's scope. What could name other clusters, their regions or how many they are
 * is left out: waves without a cluster of the scope, the selector, stages, the order of regions, what gates said, and the
 * words of the state.
 */
export function partOf(whole: Rollout, seen: ReadonlySet<string>): Rollout {
  const waves = whole.waves.map((wave, index) => ({
    index,
    wave: { ...wave, clusters: wave.clusters.filter(({ clusterId }) => seen.has(clusterId)), gates: [] },
  }));
  const shown = waves.filter(({ wave }) => wave.clusters.length > 0);
  const spec = whole.spec;
  return create(RolloutSchema, {
    ...whole,
    ...(spec === undefined ? {} : { spec: withoutPlaces(spec) }),
    because,
    wave: shown.filter(({ index }) => index < whole.wave).length,
    waves: shown.map(({ wave }) => wave),
    partial: true,
    history: [],
  });
}

function withoutPlaces(spec: RolloutSpec): RolloutSpec {
  const kept = create(RolloutSpecSchema, { ...spec, regionOrder: [], stages: [], reason: "" });
  delete kept.selector;
  return kept;
}
