import { IssuerSchema, IssuerService } from "#proto/fleet/v1/issuer";
import { present } from "../../answer.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg } from "../../flags.ts";

export default class ClusterDistrustIssuer extends FleetCommand {
  static override summary = "Let no agent join by the word of a cluster any more.";
  static override description =
    "Agents that are enrolled stay, and renew their certificates. To take one out: agent revoke.";
  static override examples = [
    {
      description: "The keys of a cluster were stolen.",
      command: "<%= config.bin %> <%= command.id %> is_2f8c",
    },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> is_2f8c -o json",
    },
  ];
  static override args = { issuer: requiredArg("Id of the issuer, as cluster list-issuers shows it.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterDistrustIssuer);
    const service = await this.client(IssuerService, flags);
    const issuer = present((await service.distrustIssuer({ id: args.issuer })).issuer, "issuer");
    this.answer(flags.output, IssuerSchema, issuer, () => [
      `${issuer.clusterName} vouches for nobody by ${issuer.id} any more.`,
    ]);
  }
}
