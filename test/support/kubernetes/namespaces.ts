import { updateTo, type Stored } from "./managed-fields.ts";
import type { Resource } from "./resources.ts";
import { ApiError, notFound } from "./status.ts";
import type { Store } from "./store.ts";

/** How long the namespace controller takes to see that one is to go. */
const noticedMs = 100;

export function isTerminating({ metadata }: Stored): boolean {
  return metadata["deletionTimestamp"] !== undefined;
}

/** A namespace that is to go stays, and lets nothing new in, until everything that is in it is gone. */
export function terminate(store: Store, resource: Resource, name: string): Stored {
  const live = store.find(resource, "", name);
  if (live === undefined) throw notFound(resource.plural, name);
  if (isTerminating(live)) {
    const why = "The system is ensuring all content is removed from this namespace";
    throw new ApiError(409, "Conflict", `Operation cannot be fulfilled on namespaces "${name}": ${why}`);
  }
  const deletionTimestamp = new Date().toISOString().replace(/\.\d+/, "");
  const metadata = { ...live.metadata, deletionTimestamp };
  const next = { ...live, metadata, status: { phase: "Terminating" } };
  const stored = store.put(resource, updateTo(live, next, "kube-apiserver"));
  setTimeout(() => finishNamespaces(store, resource), noticedMs).unref();
  return stored;
}

/** What the namespace controller does at each look: everything goes but pods of others, which kubelets have to end first. */
export function finishNamespaces(store: Store, resource: Resource): void {
  for (const room of store.list(resource).filter(isTerminating)) {
    const { name } = room.metadata;
    const left = store.clear(name, (object) => object.kind === "Pod" && isManaged(object));
    if (left === 0) {
      store.remove(resource, "", name);
      continue;
    }
    const message = `Some resources are remaining: pods. has ${left} resource instances`;
    const conditions = [
      { type: "NamespaceContentRemaining", status: "True", reason: "SomeResourcesRemain", message },
    ];
    const next = { ...room, status: { phase: "Terminating", conditions } };
    store.put(resource, updateTo(room, next, "kube-controller-manager"));
  }
}

function isManaged({ metadata }: Stored): boolean {
  return metadata["ownerReferences"] !== undefined;
}
