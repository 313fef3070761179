import type { RequestKind } from "#engine";

/** A resource with its subresource, as Kubernetes people write it. */
export function resourceName({ resource, subresource }: Omit<RequestKind, "verb">): string {
  if (resource === "") return "(no resource)";
  return subresource === "" ? resource : `${resource}/${subresource}`;
}
