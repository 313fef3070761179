import { FreezeSchema, FreezeService } from "#proto/fleet/v1/freeze";
import { present } from "../../answer.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { reasonFlag } from "../../people-flags.ts";
import { freezeText } from "../../people-view.ts";

export default class FreezeOff extends FleetCommand {
  static override summary = "End the freeze of the fleet.";
  static override description =
    "Rollouts that waited for it go on by themselves. Refused when the fleet is not frozen; nothing else is changed.";
  static override examples = [
    { description: "The incident is over.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "With a word for the audit log.",
      command: '<%= config.bin %> <%= command.id %> --reason "incident 4711 is closed"',
    },
  ];
  static override flags = { reason: reasonFlag("Why; kept in the audit log.") };

  override async run(): Promise<void> {
    const { flags } = await this.parse(FreezeOff);
    const service = await this.client(FreezeService, flags);
    const freeze = present((await service.liftFreeze({ reason: flags.reason ?? "" })).freeze, "freeze");
    this.answer(flags.output, FreezeSchema, freeze, () => [`No longer frozen: ${freezeText(freeze)}`]);
  }
}
