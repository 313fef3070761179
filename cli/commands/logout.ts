import { AuthService } from "#proto/fleet/v1/auth";
import { present } from "../answer.ts";
import { changeContexts, contextsPath } from "../contexts.ts";
import { misused } from "../failure.ts";
import { FleetCommand } from "../fleet-command.ts";

export default class Logout extends FleetCommand {
  static override summary = "End a login: its token is useless from now on, and it is not renewed.";
  static override description =
    "The context stays, so that logging in again needs no CA. It does not log out of the identity provider. An API token is not ended by this.";
  static override examples = [
    { description: "Done for today.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "End the login of another context.",
      command: "<%= config.bin %> <%= command.id %> --context prod",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Logout);
    const service = await this.client(AuthService, flags);
    const identity = present((await service.whoAmI({})).identity, "identity");
    if (identity.issuer === "") {
      throw misused(
        `${identity.name} came with an API token, which this does not end`,
        `fleetctl token api revoke ${identity.tokenId}`,
      );
    }
    await service.logout({});
    // A token of the environment belongs to no stored context.
    const isFromEnv = (process.env["FLEETCTL_TOKEN"] ?? "") !== "" && flags.context === undefined;
    if (!isFromEnv) await this.forget(flags.context);
    this.answerWith(
      flags.output,
      () => ({ name: identity.name, tokenId: identity.tokenId }),
      () => [`Logged out ${identity.name}.`],
    );
  }

  /** Without its refresh token the context asks for a login when its own token is refused. */
  private async forget(context: string | undefined): Promise<void> {
    await changeContexts(contextsPath(process.env), (stored) => {
      const name = context ?? stored.current ?? "";
      const found = stored.contexts[name];
      if (found?.login === undefined) return undefined;
      const { refreshToken: _, ...login } = found.login;
      return { ...stored, contexts: { ...stored.contexts, [name]: { ...found, login } } };
    });
  }
}
