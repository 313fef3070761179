import { Flags } from "@oclif/core";
import { CreateJoinTokenResponseSchema, TokenService } from "#proto/fleet/v1/token";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag, durationFlag, envOf, labelsFrom, listFlag, textFlag } from "../../flags.ts";
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
    region: Flags.string({
      summary: "Region of the cluster that joins.",
      helpValue: "NAME",
      env: envOf("region"),
      required: true,
    }),
    environment: textFlag("environment", "Environment of the cluster that joins.", "NAME"),
    team: textFlag("team", "Team of the cluster that joins.", "NAME"),
    tribe: textFlag("tribe", "Tribe of the cluster that joins.", "NAME"),
    project: textFlag("project", "Project of the cluster that joins.", "NAME"),
    label: listFlag("label", "Further labels of the cluster that joins.", "KEY=VALUE"),
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
    const labels = labelsFrom(flags.label, "--label");
    for (const key of ["region", "environment", "team", "tribe", "project"] as const) {
      const value = flags[key];
      if (value === undefined) continue;
      if (Object.hasOwn(labels, key)) {
        throw misused(`The label "${key}" is given by --label and by --${key}`, "Give it once.");
      }
      if (!/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(value)) {
        throw misused(
          `--${key} "${value.slice(0, 80)}" is not a label value`,
          "Use letters, digits, -, _ and . only, at most 63.",
        );
      }
      Object.assign(labels, labelsFrom([`${key}=${value}`], `--${key}`));
    }
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
