import { ApiTokenSchema, TokenService } from "#proto/fleet/v1/token";
import { present } from "../../../answer.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { requiredArg } from "../../../flags.ts";

export default class TokenApiRevoke extends FleetCommand {
  static override summary = "Make an API token or a login useless from now on, on every server.";
  static override description =
    "Whoever uses it is refused at the next call, and what they watch ends within seconds. Revoking twice is not an error.";
  static override examples = [
    { description: "Somebody left the team.", command: "<%= config.bin %> <%= command.id %> at_91bd" },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> at_91bd -o json",
    },
  ];
  static override args = { token: requiredArg("Id of the API token or login, as token api list shows it.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TokenApiRevoke);
    const service = await this.client(TokenService, flags);
    const token = present((await service.revokeApiToken({ id: args.token })).token, "token");
    this.answer(flags.output, ApiTokenSchema, token, () => [
      `Revoked ${token.id} (${token.name}, ${token.role}).`,
    ]);
  }
}
