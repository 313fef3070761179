import { CaService } from "#proto/fleet/v1/ca";
import { CaCommand } from "../../../ca-command.ts";

export default class TrustCaStatus extends CaCommand {
  static override summary = "Show the CAs of the fleet, and how far replacing one is.";
  static override description =
    "The context in use comes to trust the same CAs, so run it on every machine that calls the server before the old one is dropped.";
  static override examples = [
    { description: "Who is not ready yet?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "The CAs that CI has to trust.",
      command: "<%= config.bin %> <%= command.id %> -o json | jq -r '.authorities[].certificate' > ca.crt",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustCaStatus);
    const service = await this.client(CaService, flags);
    await this.show(flags, await service.getCa({}));
  }
}
