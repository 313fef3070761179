import type { Identity } from "#proto/fleet/v1/auth";

type Deed = "operate" | "approve" | "audit" | "schedules" | "send" | "notifications" | "retry";

/** What concerns the whole fleet, which a credential with a scope does not carry whatever its role. */
const fleetWide: readonly Deed[] = ["audit", "schedules", "send", "notifications", "retry"];

/** What the role may do, to show no button in vain. The server decides. */
export function may({ role, scope }: Pick<Identity, "role" | "scope">, what: Deed): boolean {
  if (fleetWide.includes(what) && (scope?.requirements.length ?? 0) > 0) return false;
  if (role === "admin") return true;
  if (what === "approve") return role === "approver";
  return role === "operator" && ["operate", "schedules", "notifications"].includes(what);
}
