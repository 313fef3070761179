import { RolloutSchema, RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "../../answer.ts";
import { generationFlag, requiredArg } from "../../flags.ts";
import { RolloutCommand } from "../../rollout-command.ts";

export default class RolloutAbort extends RolloutCommand {
  static override summary =
    "End a rollout: clusters that proved keep the bundle, those that have not go back.";
  static override description =
    "Clusters that proved the bundle keep it; those that were assigned it and have not proved it go back.";
  static override examples = [
    {
      description: "Enough: this bundle goes no further.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a",
    },
    {
      description: "Only if nobody changed it since you looked.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a --generation 13",
    },
  ];
  static override args = { rollout: requiredArg("Id of the rollout.") };
  static override flags = { generation: generationFlag };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutAbort);
    const service = await this.client(RolloutService, flags);
    const target = await this.target(args.rollout, flags);
    const rollout = present((await service.abortRollout(target)).rollout, "rollout");
    this.answer(flags.output, RolloutSchema, rollout, () => [
      `Aborted ${rollout.id} at generation ${rollout.generation}.`,
    ]);
    this.talk(`To send back the clusters that took it: fleetctl rollout undo ${rollout.id}`);
  }
}
