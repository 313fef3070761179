import { CaService } from "#proto/fleet/v1/ca";
import { CaCommand } from "../../../ca-command.ts";

export default class TrustCaCancel extends CaCommand {
  static override summary = "Give up replacing the CA, before the switch.";
  static override description =
    "Agents forget the new CA again. After trust ca switch there is no way back but another rotation.";
  static override examples = [
    { description: "It was begun by mistake.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "For a script.",
      command: "<%= config.bin %> <%= command.id %> -o json",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustCaCancel);
    const service = await this.client(CaService, flags);
    const { ca } = await service.cancelCa({});
    await this.show(flags, ca);
  }
}
