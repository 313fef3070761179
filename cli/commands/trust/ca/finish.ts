import { CaService } from "#proto/fleet/v1/ca";
import { CaCommand, leaveBehindFlag } from "../../../ca-command.ts";
import { valuesOf } from "../../../flags.ts";

export default class TrustCaFinish extends CaCommand {
  static override summary = "Drop the old CA, once every agent uses a certificate of the new one.";
  static override description = "Certificates of the old CA are refused from now on, and agents forget it.";
  static override examples = [
    { description: "When all are ready.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Without an agent that is gone.",
      command: "<%= config.bin %> <%= command.id %> --leave-behind eu-1/node-3",
    },
  ];
  static override flags = { "leave-behind": leaveBehindFlag };

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustCaFinish);
    const service = await this.client(CaService, flags);
    const { ca } = await service.finishCa({ leaveBehind: valuesOf(flags["leave-behind"]) });
    await this.show(flags, ca);
  }
}
