import { CreateJoinTokenResponseSchema, TokenService } from "#proto/fleet/v1/token";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag, durationFlag, textFlag } from "../../flags.ts";
import { joinLabelFlags, joinLabelsFrom } from "../../join-label-flags.ts";
import { countOf } from "../../output/text.ts";
import { labelsOf, leftOf } from "../../views.ts";

export default class TokenCreate extends FleetCommand {
  static override summary = "Make a join token and print the join string for an agent.";
  static override description =
    "The join string holds the server's address, the token, and the pins of the CA and of the trust root. It is printed once, alone on standard output, and stored nowhere. The cluster that joins gets the token's labels.";
  static override examples = [
    {
      description: "Let one cluster of team payments join within an hour.",
      command: "<%= config.bin %> <%= command.id %> --region eu --label team=payments",
    },
    {
      description: "Keep the join string in a file that only you can read.",
      command: "(umask 077; <%= config.bin %> <%= command.id %> --region us --ttl 15m > join.txt)",
    },
  ];
  static override flags = {
    ...joinLabelFlags,
    cluster: textFlag("cluster", "Only a cluster of this name may join.", "NAME"),
    "cluster-uid": textFlag("cluster-uid", "Only the cluster with this UID may join.", "UID"),
    cidr: textFlag(
      "cidr",
      "Only agents that the server sees come from this network may join.",
      "ADDRESS/BITS",
    ),
    ttl: durationFlag("ttl", "How long the token can be used; an hour if not given."),
    uses: countFlag("uses", "How many agents may enrol with it; one if not given.", 1, 10_000),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(TokenCreate);
    const labels = joinLabelsFrom(flags);
    const service = await this.client(TokenService, flags);
    const response = await service.createJoinToken({
      labels,
      clusterName: flags.cluster ?? "",
      clusterUid: flags["cluster-uid"] ?? "",
      cidr: flags.cidr ?? "",
      ttlSeconds: flags.ttl ?? 0,
      uses: flags.uses ?? 0,
    });
    this.answer(flags.output, CreateJoinTokenResponseSchema, response, () => [response.joinString]);
    const { token } = response;
    if (token === undefined) return;
    this.talk(
      `Token ${token.id}: ${countOf(token.usesMax, "use")}, ${leftOf(token.expiresAt, this.screen.now())} left, labels ${labelsOf(token.labels)}.`,
      `Give the join string to the agent. It is secret. To take it back: fleetctl token revoke ${token.id}`,
    );
  }
}
