import { ClusterService } from "#proto/fleet/v1/cluster";
import { type Rollout, RolloutClusterState, RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "../../answer.ts";
import type { Wanted } from "../../connection.ts";
import { optionalArg } from "../../flags.ts";
import { loadClusters, refusalLines, refusalsOf } from "../../refusals.ts";
import { RolloutCommand } from "../../rollout-command.ts";

const shownMax = 5;

export default class RolloutShow extends RolloutCommand {
  static override summary = "Show one rollout with its waves and each cluster's state and reason.";
  static override description =
    "Without an id it is the newest. Of one that has not begun the plan is shown, too, with what changes in rules and coverage. Below the clusters stands what agents said when they refused the bundle or went back from it, with the end of their logs.";
  static override examples = [
    { description: "The newest rollout.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Which clusters failed, and why.",
      command: `<%= config.bin %> <%= command.id %> ro_7f3a -o json | jq '.waves[].clusters[] | select(.state == "ROLLOUT_CLUSTER_STATE_FAILED")'`,
    },
  ];
  static override args = { rollout: optionalArg("Id of the rollout.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutShow);
    const rolloutId = await this.idOrNewest(args.rollout, flags);
    const service = await this.client(RolloutService, flags);
    const rollout = present((await service.getRollout({ rolloutId })).rollout, "rollout");
    const isForPeople = flags.output === "table" || flags.output === "wide";
    const more = isForPeople
      ? [...(await this.pendingPlan(rollout, flags)), ...(await this.refusals(rollout, flags))]
      : [];
    this.show(rollout, flags.output, more);
  }

  private async refusals(rollout: Rollout, flags: Wanted): Promise<string[]> {
    const failed = rollout.waves
      .flatMap(({ clusters }) => clusters)
      .filter(({ state }) => state === RolloutClusterState.FAILED)
      .map(({ clusterId }) => clusterId);
    if (failed.length === 0) return [];
    const clusters = await loadClusters(await this.client(ClusterService, flags), failed.slice(0, shownMax));
    const refusals = refusalsOf(clusters, rollout.bundle?.digest ?? "").slice(0, shownMax);
    const rest = failed.length - shownMax;
    const more = rest > 0 ? ["", `... and ${rest} more failed: fleetctl cluster show CLUSTER`] : [];
    return [...refusalLines(refusals, this.screen.now(), this.screen.paint), ...more];
  }
}
