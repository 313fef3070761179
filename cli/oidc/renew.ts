import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AuthService, type LoginResponse } from "#proto/fleet/v1/auth";
import type { Connection } from "../connection.ts";
import { changeContexts, type Context, isDue, type StoredLogin } from "../contexts.ts";
import { refused } from "../failure.ts";
import { shellWord } from "../onboard/plan/shell-word.ts";
import { findProvider, type Grant, type LoginOptions } from "./provider.ts";

/** A token of the fleet, for what the identity provider gave. */
export async function exchange(
  connection: Connection,
  grant: Grant,
  { issuer, clientId }: LoginOptions,
): Promise<{ readonly token: string; readonly login: StoredLogin; readonly response: LoginResponse }> {
  const response = await connection.client(AuthService).login({ token: grant.idToken });
  const expiresAt = response.identity?.expiresAt;
  const login = {
    issuer,
    clientId,
    expiresAt: expiresAt === undefined ? 0 : timestampMs(expiresAt),
    ...(grant.refreshToken === undefined ? {} : { refreshToken: grant.refreshToken }),
  };
  return { token: response.secret, login, response };
}

/**
 * A new token for a context whose login is due, and its own when another command has renewed it meanwhile. One command at a time
 * renews, because a provider takes a refresh token only once.
 */
export async function renewed(
  name: string,
  context: Context,
  path: string,
  open: (token: undefined) => Connection,
): Promise<string> {
  let { token } = context;
  await changeContexts(path, async (stored) => {
    const current = stored.contexts[name] ?? context;
    const { login } = current;
    ({ token } = current);
    if (login === undefined || !isDue(login)) return undefined;
    if (login.refreshToken === undefined) {
      if (login.expiresAt > Date.now()) return undefined;
      throw refused(
        `The login of context "${name}" is over`,
        `fleetctl login --oidc --name ${shellWord(name)}`,
      );
    }
    const options = { issuer: login.issuer, clientId: login.clientId, scopes: [] };
    const grant = await (await findProvider(options)).refresh(login.refreshToken);
    const connection = open(undefined);
    try {
      const next = await exchange(connection, grant, options);
      ({ token } = next);
      const replaced = { ...current, token, login: next.login };
      return { ...stored, contexts: { ...stored.contexts, [name]: replaced } };
    } finally {
      connection.close();
    }
  });
  return token;
}
