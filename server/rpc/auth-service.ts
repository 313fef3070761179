import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { IdentitySchema, type AuthService, type Identity } from "#proto/fleet/v1/auth";

import type { Permission } from "../domain/permission.ts";
import { refuse, type Outcome } from "../domain/refusal.ts";
import { wholeFleet } from "../domain/scope.ts";
import type { Provider } from "../oidc/provider.ts";
import { revokeApiToken } from "../store/api-tokens.ts";
import type { Database } from "../store/pool.ts";
import type { Audit } from "./audit.ts";
import { endedCookie, startedCookie } from "./browser-session.ts";
import { operatorOf, type Operator } from "./caller.ts";
import { toOperator } from "./interceptors/authenticate.ts";
import { logIn } from "./login.ts";
import { toSelector, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const authPermissions = {
  whoAmI: "self:read",
  getLoginOptions: "public",
  login: "public",
  logout: "self:read",
  startBrowserSession: "self:read",
  endBrowserSession: "public",
} satisfies Record<keyof (typeof AuthService)["method"], Permission>;

export interface AuthServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  /** Undefined when people come with API tokens only. */
  readonly provider: Provider | undefined;
  readonly now: () => Date;
}

export function authService(options: AuthServiceOptions): ServiceImpl<typeof AuthService> {
  const { db, org, audit, provider, now } = options;
  return {
    whoAmI(_request, context) {
      return { identity: toIdentity(operatorOf(context), org) };
    },
    getLoginOptions() {
      const { issuer, clientId, scopes } = orRefuse(configured(provider));
      return { issuer, clientId, scopes: [...scopes] };
    },
    async login(request) {
      const found = orRefuse(configured(provider));
      const claims = orRefuse(await found.verify(request.token, now()));
      const { token, secret } = await logIn(options, found, claims);
      return { secret, identity: toIdentity(toOperator(token), org) };
    },
    async logout(request, context) {
      const note = audit.note(context, request);
      // Whoever holds a token may end it, whatever its scope.
      orRefuse(await revokeApiToken(db, wholeFleet, operatorOf(context).tokenId, now(), note));
      return {};
    },
    startBrowserSession(_request, context) {
      const caller = operatorOf(context);
      const cookie = orRefuse(startedCookie(context.requestHeader, caller.expiresAt, now()));
      context.responseHeader.append("set-cookie", cookie);
      return { identity: toIdentity(caller, org) };
    },
    endBrowserSession(_request, context) {
      context.responseHeader.append("set-cookie", orRefuse(endedCookie(context.requestHeader)));
      return {};
    },
  };
}

function configured(provider: Provider | undefined): Outcome<Provider> {
  if (provider !== undefined) return { ok: true, value: provider };
  const why = "No identity provider is configured here: log in with an API token";
  return refuse({ kind: "precondition", why });
}

function toIdentity({ name, role, scope, expiresAt, tokenId, login }: Operator, org: string): Identity {
  return create(IdentitySchema, {
    name,
    role,
    scope: toSelector(scope),
    expiresAt: toTimestamp(expiresAt),
    tokenId,
    issuer: login?.issuer ?? "",
    subject: login?.subject ?? "",
    org,
  });
}
