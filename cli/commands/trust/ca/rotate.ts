import { CaService } from "#proto/fleet/v1/ca";
import { CaCommand } from "../../../ca-command.ts";

export default class TrustCaRotate extends CaCommand {
  static override summary =
    "Begin to replace the CA: every agent learns to trust a new one beside the old one.";
  static override description =
    "The server makes the new CA. Nothing presents its certificates before trust ca switch, and nothing is dropped before trust ca finish.";
  static override examples = [
    { description: "The first of three steps.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "For a script.",
      command: "<%= config.bin %> <%= command.id %> -o json",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustCaRotate);
    const service = await this.client(CaService, flags);
    const { ca } = await service.rotateCa({});
    await this.show(flags, ca);
  }
}
