import { isAllowed, roleFor, type Permission } from "../../domain/permission.ts";
import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import type { Caller } from "../caller.ts";

/** Whether a caller may make calls that demand the permission. Nobody in particular may make public ones. */
export function authorize(caller: Outcome<Caller>, permission: Permission): Outcome<true> {
  if (permission === "public") return accept(true);
  if (!caller.ok) return caller;
  if (caller.value.kind === "agent") {
    if (permission === "agent") return accept(true);
    return refuse({
      kind: "forbidden",
      why: `This call takes ${roleFor(permission)}, not a client certificate`,
    });
  }
  const { name, role } = caller.value;
  if (isAllowed(role, permission)) return accept(true);
  const why = `The API token "${name}" has role ${role}; this call takes ${roleFor(permission)}`;
  return refuse({ kind: "forbidden", why });
}
