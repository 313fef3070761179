import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { IdentitySchema, type AuthService, type Identity } from "#proto/fleet/v1/auth";

import { judgeLogin, loginName } from "../domain/login.ts";
import type { Permission } from "../domain/permission.ts";
import { refuse, type Outcome } from "../domain/refusal.ts";
import { wholeFleet } from "../domain/scope.ts";
import type { Provider } from "../oidc/provider.ts";
import { countLogins, revokeApiToken } from "../store/api-tokens.ts";
import type { Database } from "../store/pool.ts";
import type { Audit } from "./audit.ts";
import { operatorOf, type Operator } from "./caller.ts";
import { toOperator } from "./interceptors/authenticate.ts";
import { toSelector, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";
import { createApiToken } from "./token-service.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const authPermissions = {
  whoAmI: "self:read",
  getLoginOptions: "public",
  login: "public",
  logout: "self:read",
} satisfies Record<keyof (typeof AuthService)["method"], Permission>;

export interface AuthServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  /** Undefined when people come with API tokens only. */
  readonly provider: Provider | undefined;
  readonly now: () => Date;
}

/** So many logins of one identity can be used at the same time: each machine and each refresh makes one. */
const loginsMax = 50;

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
      const { issuer, rules, sessionMs, verify } = orRefuse(configured(provider));
      const claims = orRefuse(await verify(request.token, now()));
      const grant = orRefuse(judgeLogin(rules, claims));
      const login = { issuer, subject: String(claims["sub"]) };
      if ((await countLogins(db, login, now())) >= loginsMax) {
        const why = `${loginName(claims)} has ${loginsMax} logins that can still be used: log out of some, or wait until they end`;
        return orRefuse(refuse({ kind: "over-limit", why }));
      }
      const wish = { ...grant, name: loginName(claims), ttlMs: sessionMs };
      const { token, secret } = await db.transaction(async (tx) => {
        const made = await createApiToken(tx, wish, "login", now(), login);
        const actor = { kind: "operator", id: login.subject, name: wish.name, role: wish.role } as const;
        await audit.noteOf(actor, "AuthService/Login")(tx, { target: made.token.id });
        return made;
      });
      return { secret, identity: toIdentity(toOperator(token), org) };
    },
    async logout(request, context) {
      const note = audit.note(context, request);
      // Whoever holds a token may end it, whatever its scope.
      orRefuse(await revokeApiToken(db, wholeFleet, operatorOf(context).tokenId, now(), note));
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
