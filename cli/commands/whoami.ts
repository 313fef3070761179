import { AuthService, IdentitySchema } from "#proto/fleet/v1/auth";
import { present } from "../answer.ts";
import { FleetCommand } from "../fleet-command.ts";
import { renderFields } from "../output/table.ts";
import { renderScope } from "../selector.ts";
import { isoOf, leftOf } from "../views.ts";

export default class Whoami extends FleetCommand {
  static override summary = "Show who you are to the server: name, role, scope and expiry.";
  static override description =
    "Clusters outside the scope do not exist for you: they are in no list and no count.";
  static override examples = [
    { description: "What may I do, and where?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "My role, for a script.",
      command: "<%= config.bin %> <%= command.id %> -o json | jq -r .role",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Whoami);
    const service = await this.client(AuthService, flags);
    const identity = present((await service.whoAmI({})).identity, "identity");
    const left = leftOf(identity.expiresAt, this.screen.now());
    this.answer(flags.output, IdentitySchema, identity, () =>
      renderFields([
        ["name", identity.name],
        ["role", identity.role],
        ["scope", renderScope(identity.scope)],
        ["expires", `${isoOf(identity.expiresAt)} (${left} left)`],
        [identity.issuer === "" ? "API token" : "login", identity.tokenId],
        ["issuer", identity.issuer],
        ["subject", identity.subject],
        ["org", identity.org],
      ]),
    );
  }
}
