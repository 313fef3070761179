/** What a person or a program may be. */
export type Role = "viewer" | "operator" | "approver" | "admin";

/**
 * What a call demands of its caller. `public` is for callers without an identity, `agent` for agents with a client
 * certificate; the others are for API tokens and logins.
 */
export type Permission =
  | "public"
  | "agent"
  | "self:read"
  | "cluster:read"
  | "cluster:write"
  | "rollout:read"
  | "rollout:write"
  | "rollout:approve"
  | "freeze:write"
  | "bundle:read"
  | "bundle:write"
  | "layer:write"
  | "alert:read"
  | "alert:write"
  | "trust:read"
  | "trust:write"
  | "join-token:read"
  | "join-token:write"
  | "issuer:read"
  | "issuer:write"
  | "notification:read"
  | "notification:write"
  | "api-token:read"
  | "api-token:write"
  | "audit:read";

export const roles: readonly Role[] = ["viewer", "operator", "approver", "admin"];

/**
 * The roles whose rights a role has. Operators and approvers stand beside each other, so that who starts a rollout is
 * not by that the one who approves it.
 */
const includes = {
  viewer: ["viewer"],
  operator: ["viewer", "operator"],
  approver: ["viewer", "approver"],
  admin: ["viewer", "operator", "approver", "admin"],
} as const satisfies Record<Role, readonly Role[]>;

/** The least role that has a permission; `never` for those that no API token carries. */
const leastRole = {
  public: "viewer",
  agent: "never",
  "self:read": "viewer",
  "cluster:read": "viewer",
  "cluster:write": "operator",
  "rollout:read": "viewer",
  "rollout:write": "operator",
  "rollout:approve": "approver",
  "freeze:write": "operator",
  "bundle:read": "viewer",
  "bundle:write": "operator",
  "layer:write": "operator",
  "alert:read": "viewer",
  "alert:write": "operator",
  "trust:read": "viewer",
  "trust:write": "admin",
  "join-token:read": "operator",
  "join-token:write": "operator",
  "issuer:read": "operator",
  "issuer:write": "operator",
  "notification:read": "operator",
  "notification:write": "admin",
  "api-token:read": "admin",
  "api-token:write": "admin",
  "audit:read": "admin",
} as const satisfies Record<Permission, Role | "never">;

/** What reaches or tells of every cluster by its nature, so that a credential with a scope does not carry it, whatever its role. */
const fleetWide: readonly Permission[] = [
  "bundle:write",
  "trust:write",
  "audit:read",
  "freeze:write",
  "notification:read",
  "notification:write",
];

export function isRole(text: string): text is Role {
  return roles.some((role) => role === text);
}

/** Whether an API token or login of the role may make calls that demand the permission. */
export function isAllowed(role: Role, permission: Permission): boolean {
  const least = leastRole[permission];
  return least !== "never" && (includes[role] as readonly Role[]).includes(least);
}

/** Whether only credentials for the whole fleet carry the permission. */
export function isFleetWide(permission: Permission): boolean {
  return fleetWide.includes(permission);
}

/** The least role to ask for, in words for a refusal. */
export function roleFor(permission: Permission): string {
  const least = leastRole[permission];
  return least === "never" ? "an agent's client certificate" : `an API token with role ${least} or above`;
}
