import { isAllowed, isFleetWide, roleFor, type Permission } from "../../domain/permission.ts";
import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import { isWholeFleet, scopeText } from "../../domain/scope.ts";
import { credentialText, type Caller } from "../caller.ts";

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
  const { role, scope } = caller.value;
  const credential = credentialText(caller.value);
  if (!isAllowed(role, permission)) {
    const why = `The ${credential} has role ${role}; this call takes ${roleFor(permission)}`;
    return refuse({ kind: "forbidden", why });
  }
  if (isFleetWide(permission) && !isWholeFleet(scope)) {
    const why = `The ${credential} has the scope ${scopeText(scope)}; this call is about every cluster and takes a credential for the whole fleet`;
    return refuse({ kind: "forbidden", why });
  }
  return accept(true);
}
