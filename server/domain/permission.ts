/** What a person or a program may be; each role may do all that the one before it may. */
export type Role = "viewer" | "operator" | "admin";

/**
 * What a call demands of its caller. `public` is for callers without an identity, `agent` for agents with a client
 * certificate; the others are for API tokens.
 */
export type Permission =
  | "public"
  | "agent"
  | "cluster:read"
  | "cluster:write"
  | "rollout:read"
  | "rollout:write"
  | "bundle:read"
  | "bundle:write"
  | "alert:read"
  | "trust:read"
  | "trust:write"
  | "join-token:read"
  | "join-token:write"
  | "api-token:read"
  | "api-token:write"
  | "audit:read";

export const roles: readonly Role[] = ["viewer", "operator", "admin"];

/** The least role that has a permission; `never` for those that no API token carries. */
const leastRole = {
  public: "viewer",
  agent: "never",
  "cluster:read": "viewer",
  "cluster:write": "operator",
  "rollout:read": "viewer",
  "rollout:write": "operator",
  "bundle:read": "viewer",
  "bundle:write": "operator",
  "alert:read": "viewer",
  "trust:read": "viewer",
  "trust:write": "admin",
  "join-token:read": "operator",
  "join-token:write": "operator",
  "api-token:read": "admin",
  "api-token:write": "admin",
  "audit:read": "admin",
} as const satisfies Record<Permission, Role | "never">;

export function isRole(text: string): text is Role {
  return roles.some((role) => role === text);
}

/** Whether an API token of the role may make calls that demand the permission. */
export function isAllowed(role: Role, permission: Permission): boolean {
  const least = leastRole[permission];
  return least !== "never" && roles.indexOf(role) >= roles.indexOf(least);
}

/** The least role to ask for, in words for a refusal. */
export function roleFor(permission: Permission): string {
  const least = leastRole[permission];
  return least === "never" ? "an agent's client certificate" : `an API token with role ${least} or above`;
}
