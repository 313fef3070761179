import { join } from "node:path";
import { PublishRootResponseSchema, TrustService } from "#proto/fleet/v1/trust";
import { metadataBytesMax, rootPin } from "#trust";
import { FleetCommand } from "../../fleet-command.ts";
import { optionalArg } from "../../flags.ts";
import { readFileBounded } from "../../load-bundle.ts";
import { keyFlags, trustDirectory } from "../../signing.ts";
import { isoOf } from "../../views.ts";

export default class TrustPublish extends FleetCommand {
  static override summary = "Publish signed root metadata, the next version of the chain.";
  static override description =
    "The server takes it only when it is the next version, carries the signatures that the present root and the new one demand, and names the server's online keys.";
  static override examples = [
    { description: "The root that trust init kept back.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "A root that was signed elsewhere.",
      command: "<%= config.bin %> <%= command.id %> /media/stick/trust/root.json",
    },
  ];
  static override args = { file: optionalArg("Root metadata; root.json in the trust folder if not given.") };
  static override flags = { dir: keyFlags.dir };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TrustPublish);
    const file = args.file ?? join(trustDirectory(flags.dir), "root.json");
    const root = await readFileBounded(file, metadataBytesMax);
    const service = await this.client(TrustService, flags);
    const response = await service.publishRoot({ root });
    this.answer(flags.output, PublishRootResponseSchema, response, () => [
      `Published root ${response.root?.version ?? 0n} (${rootPin(root)}), valid until ${isoOf(response.root?.expiresAt)}.`,
    ]);
  }
}
