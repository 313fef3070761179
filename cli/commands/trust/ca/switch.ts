import { CaService } from "#proto/fleet/v1/ca";
import { CaCommand, leaveBehindFlag } from "../../../ca-command.ts";
import { valuesOf } from "../../../flags.ts";

export default class TrustCaSwitch extends CaCommand {
  static override summary = "Present certificates of the new CA, once every agent proves that it trusts it.";
  static override description =
    "Servers present them at once; agents fetch theirs within ten minutes. It cannot be taken back; the old CA stays trusted until trust ca finish.";
  static override examples = [
    { description: "When all are ready.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Without two agents that are gone.",
      command: "<%= config.bin %> <%= command.id %> --leave-behind eu-1/node-3,us-2",
    },
  ];
  static override flags = { "leave-behind": leaveBehindFlag };

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustCaSwitch);
    const service = await this.client(CaService, flags);
    const { ca } = await service.switchCa({ leaveBehind: valuesOf(flags["leave-behind"]) });
    await this.show(flags, ca);
  }
}
