import { judgeLogin, loginName, type Claims } from "../domain/login.ts";
import { refuse } from "../domain/refusal.ts";
import type { Provider } from "../oidc/provider.ts";
import { countLogins, type ApiToken } from "../store/api-tokens.ts";
import type { Database } from "../store/pool.ts";
import type { Audit } from "./audit.ts";
import { orRefuse } from "./refusals.ts";
import { createApiToken } from "./token-service.ts";

export interface LoginOptions {
  readonly db: Database;
  readonly audit: Audit;
  readonly now: () => Date;
}

/** So many logins of one identity can be used at the same time: each machine and each refresh makes one. */
const loginsMax = 50;

/** A token of this fleet for a person of whom the provider said something, with the role and scope that this gives. */
export async function logIn(
  { db, audit, now }: LoginOptions,
  { issuer, rules, sessionMs }: Provider,
  claims: Claims,
): Promise<{ readonly token: ApiToken; readonly secret: string }> {
  const grant = orRefuse(judgeLogin(rules, claims));
  const login = { issuer, subject: String(claims["sub"]) };
  if ((await countLogins(db, login, now())) >= loginsMax) {
    const why = `${loginName(claims)} has ${loginsMax} logins that can still be used: log out of some, or wait until they end`;
    return orRefuse(refuse({ kind: "over-limit", why }));
  }
  const wish = { ...grant, name: loginName(claims), ttlMs: sessionMs };
  return db.transaction(async (tx) => {
    const made = await createApiToken(tx, wish, "login", now(), login);
    const actor = { kind: "operator", id: login.subject, name: wish.name, role: wish.role } as const;
    await audit.noteOf(actor, "AuthService/Login")(tx, { target: made.token.id });
    return made;
  });
}
