import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FreezeSchema, FreezeService } from "#proto/fleet/v1/freeze";
import { present } from "../../answer.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { reasonFlag, timeFlag } from "../../people-flags.ts";
import { freezeText } from "../../people-view.ts";

export default class FreezeOn extends FleetCommand {
  static override summary = "Keep every rollout of the fleet from beginning a wave.";
  static override description =
    "What is under way goes on, and whatever goes back does: aborts, undos and automatic rollbacks. Rollouts are not paused; they go on by themselves when the freeze ends. A freeze that is there already gives way to this one.";
  static override examples = [
    {
      description: "Nothing moves during the incident.",
      command: '<%= config.bin %> <%= command.id %> --reason "incident 4711"',
    },
    {
      description: "Over the holidays.",
      command: '<%= config.bin %> <%= command.id %> --reason "holidays" --until 2027-01-04T08:00+01:00',
    },
  ];
  static override flags = {
    reason: reasonFlag("Why; every rollout that waits says it."),
    until: timeFlag("until", "It ends by itself then; never if not given."),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(FreezeOn);
    const reason = flags.reason ?? "";
    if (reason.trim() === "") throw misused("Why? A freeze has a reason", '--reason "incident 4711"');
    const service = await this.client(FreezeService, flags);
    const until = flags.until === undefined ? {} : { until: timestampFromMs(flags.until) };
    const freeze = present((await service.setFreeze({ reason, ...until })).freeze, "freeze");
    this.answer(flags.output, FreezeSchema, freeze, () => [`Frozen ${freezeText(freeze)}`]);
    this.talk("To end it: fleetctl freeze off");
  }
}
