import { RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "../../answer.ts";
import { optionalArg } from "../../flags.ts";
import { RolloutCommand } from "../../rollout-command.ts";

export default class RolloutShow extends RolloutCommand {
  static override summary = "Show one rollout with its waves and each cluster's state and reason.";
  static override description = "Without an id it is the newest.";
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
    this.show(present((await service.getRollout({ rolloutId })).rollout, "rollout"), flags.output);
  }
}
