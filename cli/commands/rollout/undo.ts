import { Flags } from "../../oclif.ts";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "../../answer.ts";
import { envOf, generationFlag, requiredArg } from "../../flags.ts";
import { RolloutCommand } from "../../rollout-command.ts";

export default class RolloutUndo extends RolloutCommand {
  static override summary = "Send every cluster of a rollout back to what it ran before.";
  static override description =
    "All at once, without waves. Clusters that ran nothing before, or that a later rollout moved on, keep what they have and are named.";
  static override examples = [
    {
      description: "Back to before, and wait until each cluster proves it.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a --watch",
    },
    {
      description: "Only if nobody changed it since you looked.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a --generation 14",
    },
  ];
  static override args = { rollout: requiredArg("Id of the rollout.") };
  static override flags = {
    generation: generationFlag,
    watch: Flags.boolean({
      summary: "Wait until every cluster proves what it ran before; the default on a terminal.",
      env: envOf("watch"),
      allowNo: true,
    }),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutUndo);
    const service = await this.client(RolloutService, flags);
    const target = await this.target(args.rollout, flags);
    const rollout = present((await service.undoRollout(target)).rollout, "rollout");
    await this.follow(rollout, flags, flags.watch ?? this.screen.outIsTerminal, "rolled-back");
  }
}
