import { RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "../../answer.ts";
import { optionalArg } from "../../flags.ts";
import { RolloutCommand } from "../../rollout-command.ts";

export default class RolloutWatch extends RolloutCommand {
  static override summary = "Follow a rollout until nothing happens by itself any more.";
  static override description =
    "On a terminal the picture is redrawn; elsewhere each change is a line; with -o json each is a line of JSON. Ends with exit code 1 unless the rollout succeeded. Ending the watch does not touch the rollout.";
  static override examples = [
    { description: "Follow the newest rollout.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Each cluster that fails, as it fails.",
      command: `<%= config.bin %> <%= command.id %> ro_7f3a -o json | jq 'select(.event == "cluster" and .to == "failed")'`,
    },
  ];
  static override args = { rollout: optionalArg("Id of the rollout; the newest if not given.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutWatch);
    const rolloutId = await this.idOrNewest(args.rollout, flags);
    const service = await this.client(RolloutService, flags);
    const rollout = present((await service.getRollout({ rolloutId })).rollout, "rollout");
    await this.follow(rollout, flags, true, "succeeded", flags.output === "json");
  }
}
