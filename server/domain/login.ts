import type { Role } from "./permission.ts";
import { accept, refuse, type Outcome } from "./refusal.ts";
import type { Scope } from "./scope.ts";

/** What a provider says of a person, after its signature was checked. */
export type Claims = Readonly<Record<string, unknown>>;

/** Gives a role and a scope to whoever has one of the values in a claim. */
export interface LoginRule {
  /** The claim's name; further names lead into claims that are objects. */
  readonly claim: readonly string[];
  readonly values: readonly string[];
  readonly role: Role;
  readonly scope: Scope;
}

export interface Grant {
  readonly role: Role;
  readonly scope: Scope;
}

/** The role and scope of the first rule that fits. Whom no rule fits gets nothing. */
export function judgeLogin(rules: readonly LoginRule[], claims: Claims): Outcome<Grant> {
  const rule = rules.find(({ claim, values }) =>
    valuesOf(claims, claim).some((value) => values.includes(value)),
  );
  if (rule !== undefined) return accept({ role: rule.role, scope: rule.scope });
  const why = `Nothing gives ${loginName(claims)} a role here: ask an admin of the fleet to map a claim of yours in the server's login configuration`;
  return refuse({ kind: "forbidden", why });
}

/** What a person is called in lists and logs. The prefix is one that no API token's name can have. */
export function loginName(claims: Claims): string {
  const [email] = valuesOf(claims, ["email"]);
  const name = email ?? String(claims["sub"]);
  return `oidc:${name.replaceAll(/[^A-Za-z0-9._@+-]/g, "_").slice(0, 200)}`;
}

/** An address that the provider did not check is nobody's. */
function valuesOf(claims: Claims, path: readonly string[]): readonly string[] {
  if (path.length === 1 && path[0] === "email" && claims["email_verified"] !== true) return [];
  const value = path.reduce<unknown>(
    (at, key) =>
      typeof at === "object" && at !== null && Object.hasOwn(at, key)
        ? (at as Readonly<Record<string, unknown>>)[key]
        : undefined,
    claims,
  );
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.flatMap((each) =>
    typeof each === "string" || typeof each === "number" || typeof each === "boolean" ? [String(each)] : [],
  );
}
