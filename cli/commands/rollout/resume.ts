import { RolloutSchema, RolloutService, RolloutState } from "#proto/fleet/v1/rollout";
import { present } from "../../answer.ts";
import { generationFlag, requiredArg, textFlag } from "../../flags.ts";
import { RolloutCommand } from "../../rollout-command.ts";

export default class RolloutResume extends RolloutCommand {
  static override summary = "Let a paused rollout go on.";
  static override description =
    "Failures so far are forgiven: the failed clusters are tried again. A rollout that did not begin because its plan changed takes the plan as it is now, and waits for its time and for somebody else's approval as before.";
  static override examples = [
    {
      description: "Go on after the cause is mended.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a",
    },
    {
      description: "Only if nobody changed it since you looked.",
      command: "<%= config.bin %> <%= command.id %> ro_7f3a --generation 13",
    },
  ];
  static override args = { rollout: requiredArg("Id of the rollout.") };
  static override flags = {
    generation: generationFlag,
    plan: textFlag(
      "plan",
      "Of a rollout whose plan changed: refuse when it is no longer the one with this digest.",
      "DIGEST",
    ),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutResume);
    const service = await this.client(RolloutService, flags);
    const target = await this.target(args.rollout, flags);
    const rollout = present(
      (await service.resumeRollout({ ...target, planDigest: flags.plan ?? "" })).rollout,
      "rollout",
    );
    this.answer(flags.output, RolloutSchema, rollout, () => [
      `Resumed ${rollout.id} at generation ${rollout.generation}.`,
    ]);
    if (rollout.state === RolloutState.AWAITING_APPROVAL) {
      this.talk(
        `It takes the approval of somebody else: fleetctl rollout approve ${rollout.id} --plan ${rollout.planDigest}`,
      );
    }
    this.talk(`To follow it: fleetctl rollout watch ${rollout.id}`);
  }
}
