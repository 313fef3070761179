import { RolloutSchema, RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "../../answer.ts";
import { generationFlag, requiredArg } from "../../flags.ts";
import { RolloutCommand } from "../../rollout-command.ts";

export default class RolloutPause extends RolloutCommand {
  static override summary = "Stop a rollout from starting new waves.";
  static override description =
    "Clusters that already took the bundle keep it. Pausing a rollout that does not run is refused.";
  static override examples = [
    {
      description: "Hold on, something looks wrong.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a",
    },
    {
      description: "Only if nobody changed it since you looked.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a --generation 12",
    },
  ];
  static override args = { rollout: requiredArg("Id of the rollout.") };
  static override flags = { generation: generationFlag };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutPause);
    const service = await this.client(RolloutService, flags);
    const target = await this.target(args.rollout, flags);
    const rollout = present((await service.pauseRollout(target)).rollout, "rollout");
    this.answer(flags.output, RolloutSchema, rollout, () => [
      `Paused ${rollout.id} at generation ${rollout.generation}.`,
    ]);
    this.talk(
      `To go on: fleetctl rollout resume ${rollout.id}   To go back: fleetctl rollout undo ${rollout.id}`,
    );
  }
}
