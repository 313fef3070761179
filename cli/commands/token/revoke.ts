import { JoinTokenSchema, TokenService } from "#proto/fleet/v1/token";
import { present } from "../../answer.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg } from "../../flags.ts";

export default class TokenRevoke extends FleetCommand {
  static override summary = "Make a join token useless from now on.";
  static override description = "Clusters that already joined with it stay; to take one out, retire it.";
  static override examples = [
    {
      description: "A join string that went to the wrong place.",
      command: "<%= config.bin %> <%= command.id %> jt_2f8c",
    },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> jt_2f8c -o json",
    },
  ];
  static override args = { token: requiredArg("Id of the join token, as token list shows it.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TokenRevoke);
    const service = await this.client(TokenService, flags);
    const token = present((await service.revokeJoinToken({ id: args.token })).token, "token");
    const used =
      token.uses === 0 ? "It was never used." : `It was used ${token.uses} of ${token.usesMax} times.`;
    this.answer(flags.output, JoinTokenSchema, token, () => [`Revoked ${token.id}. ${used}`]);
  }
}
