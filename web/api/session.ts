import { createClient } from "@connectrpc/connect";
import { AuthService, type Identity } from "#proto/fleet/v1/auth";
import { forgetAll } from "./query-client.ts";
import { transport } from "./transport.ts";

const auth = createClient(AuthService, transport);

/** Has the browser keep a token where no script can read it; from then on it comes with every call by itself. */
export async function signIn(token: string): Promise<void> {
  await auth.startBrowserSession({}, { headers: { Authorization: `Bearer ${token}` } });
  await forgetAll();
}

/** A login by the identity provider ends with it; an API token goes on to be of use elsewhere. */
export async function signOut(identity: Identity): Promise<void> {
  if (identity.issuer !== "") await auth.logout({});
  await auth.endBrowserSession({});
  await forgetAll();
}
