import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Cluster, ClusterService } from "#proto/fleet/v1/cluster";
import { type Rollout, RolloutClusterState, RolloutService } from "#proto/fleet/v1/rollout";
import { OfflinePolicy } from "#proto/fleet/v1/rollout_spec";
import { present } from "../../answer.ts";
import { optionalArg } from "../../flags.ts";
import {
  type ClusterFacts,
  type ExplainLimits,
  explainRollout,
  holdingUp,
  namedMax,
} from "../../output/explain-rollout.ts";
import { wrap } from "../../output/wrap.ts";
import { loadClusters, refusalsOf } from "../../refusals.ts";
import { isAfterShadow, RolloutCommand } from "../../rollout-command.ts";
import { progressOf } from "../../rollout-view.ts";
import { healthOf } from "../../views.ts";

export default class RolloutExplain extends RolloutCommand {
  static override summary = "Say in a paragraph why a rollout is not moving, and what to type.";
  static override description =
    "Its state and wave, the clusters that hold it up and what each was last heard of, and what would let it go on.";
  static override examples = [
    { description: "Why does the newest rollout not move?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "The clusters that hold it up.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a -o json | jq -r '.heldUpBy[]'",
    },
  ];
  static override args = { rollout: optionalArg("Id of the rollout; the newest if not given.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutExplain);
    const rolloutId = await this.idOrNewest(args.rollout, flags);
    const service = await this.client(RolloutService, flags);
    const rollout = present((await service.getRollout({ rolloutId })).rollout, "rollout");
    const progress = progressOf(rollout);
    const limits = limitsOf(rollout);
    const names = new Set(
      holdingUp(progress, limits)
        .slice(0, namedMax)
        .map(({ name }) => name),
    );
    const ids = rollout.waves
      .flatMap(({ clusters }) => clusters)
      .flatMap(({ clusterId, clusterName }) => (names.has(clusterName) ? [clusterId] : []));
    const clusters = await loadClusters(await this.client(ClusterService, flags), ids);
    const facts = clusters.map((cluster) => factsOf(cluster, rollout.bundle?.digest ?? ""));
    const why = explainRollout(progress, facts, limits, this.screen.now());
    this.answerWith(
      flags.output,
      () => ({
        rollout: rolloutId,
        state: progress.state,
        text: why.text,
        heldUpBy: [...why.heldUpBy],
        next: [...why.next],
      }),
      () => wrap(why.text, Math.max(40, this.screen.columns)),
    );
    if (flags.output === "table" || flags.output === "wide") {
      for (const line of why.next) this.talk(`  ${line}`);
    }
  }
}

function factsOf(cluster: Cluster, digest: string): ClusterFacts {
  const { name, health, healthReason, lastSeenAt } = cluster;
  const attempt = refusalsOf([cluster], digest)[0]?.attempt;
  return {
    name,
    health: healthOf(health),
    healthReason,
    ...(lastSeenAt === undefined ? {} : { lastSeenAt: timestampMs(lastSeenAt) }),
    ...(attempt === undefined ? {} : { refusal: `${attempt.reason}: ${attempt.detail}` }),
  };
}

function limitsOf(rollout: Rollout): ExplainLimits {
  const { spec, waves } = rollout;
  const percent = spec?.maxFailuresPercent ?? 0;
  const counted = waves
    .flatMap(({ clusters }) => clusters)
    .filter(({ state }) => state !== RolloutClusterState.REMOVED);
  return {
    deadlineMs: (spec?.deadlineSeconds ?? 0) * 1000,
    soakMs: (spec?.soakSeconds ?? 0) * 1000,
    failuresMax: percent > 0 ? Math.floor((counted.length * percent) / 100) : (spec?.maxFailures ?? 0),
    awaitsSilent: spec?.offline === OfflinePolicy.WAIT,
    isShadowOver: isAfterShadow(rollout),
    isPending: rollout.pending,
  };
}
