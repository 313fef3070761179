import type { Kube } from "./kube.ts";
import type { Permission } from "./plan/permissions.ts";

const askedAtOnce = 6;

/** Those of some permissions that the user has not. */
export async function deniedOf(
  kube: Kube,
  permissions: readonly Permission[],
): Promise<readonly Permission[]> {
  const denied: Permission[] = [];
  for (let start = 0; start < permissions.length; start += askedAtOnce) {
    const some = permissions.slice(start, start + askedAtOnce);
    const answers = await Promise.all(some.map((permission) => kube.may(permission)));
    denied.push(...some.filter((_, index) => answers[index] === false));
  }
  return denied;
}
