import { Flags } from "../../../oclif.ts";
import { CreateApiTokenResponseSchema, TokenService } from "#proto/fleet/v1/token";
import { FleetCommand } from "../../../fleet-command.ts";
import { durationFlag, envOf, requiredArg, scopeFlag, scopeFrom } from "../../../flags.ts";
import { renderScope } from "../../../selector.ts";
import { leftOf } from "../../../views.ts";

export default class TokenApiCreate extends FleetCommand {
  static override summary = "Make an API token for a person or for CI.";
  static override description =
    "The token is printed once, alone on standard output. A viewer reads, an operator rolls out and makes join tokens, an approver reads and approves rollouts, an admin may do everything. With a scope, clusters outside do not exist for its holder; it is never wider than your own.";
  static override examples = [
    {
      description: "A token for the pipeline that pushes bundles.",
      command: "<%= config.bin %> <%= command.id %> ci --role operator --ttl 90d > ci.token",
    },
    {
      description: "A token for one team's clusters.",
      command:
        "<%= config.bin %> <%= command.id %> payments-ci --role operator --scope team=payments --ttl 30d",
    },
  ];
  static override args = { name: requiredArg("Whose token it is, for the lists.") };
  static override flags = {
    role: Flags.option({
      summary: "What the token may do.",
      options: ["viewer", "operator", "approver", "admin"] as const,
      required: true,
      env: envOf("role"),
    })(),
    scope: scopeFlag,
    ttl: durationFlag("ttl", "How long the token can be used; 30 days if not given."),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TokenApiCreate);
    const service = await this.client(TokenService, flags);
    const response = await service.createApiToken({
      name: args.name,
      role: flags.role,
      ttlSeconds: flags.ttl ?? 0,
      scope: scopeFrom(flags.scope),
    });
    this.answer(flags.output, CreateApiTokenResponseSchema, response, () => [response.secret]);
    const { token } = response;
    if (token === undefined) return;
    this.talk(
      `API token ${token.id} for ${token.name}: ${token.role} of ${renderScope(token.scope)}, ${leftOf(token.expiresAt, this.screen.now())} left.`,
      `To use it: fleetctl login --server URL --token-file FILE   To take it back: fleetctl token api revoke ${token.id}`,
    );
  }
}
