import {
  layerOfRole,
  parseMetadata,
  readDelegations,
  verifyLayerList,
  type LayerDelegation,
  type RoleName,
} from "#trust";

import type { DesiredLayer, DesiredRow, StoredMetadata } from "../store/desired.ts";
import { delegatedTo } from "../store/layered.ts";

/** The trust metadata that agents are sent, taken apart once for all of them. */
export interface TrustChain {
  /** All roots and the newest of the other roles, in the order in which an agent verifies them. */
  readonly metadata: readonly (StoredMetadata & { readonly role: RoleName })[];
  /** The newest list of each layer, of those that its delegation's keys signed: agents would refuse the others. */
  readonly lists: ReadonlyMap<string, StoredMetadata>;
  readonly delegations: ReadonlyMap<string, LayerDelegation>;
}

export function takeApart(stored: readonly StoredMetadata[]): TrustChain {
  const metadata = stored.filter((each): each is TrustChain["metadata"][number] => !isOfLayer(each));
  const delegations = delegationsOf(metadata);
  const lists = stored.flatMap((each) => {
    const delegation = delegations.get(layerOfRole(each.role) ?? "");
    const isSigned = delegation !== undefined && verifyLayerList(each.body, delegation).ok;
    return isSigned ? [[delegation.layer, each] as const] : [];
  });
  return { metadata, delegations, lists: new Map(lists) };
}

function isOfLayer({ role }: StoredMetadata): boolean {
  return layerOfRole(role) !== undefined;
}

/** What was published was checked then; what cannot be read now delegates nothing. */
function delegationsOf(metadata: readonly StoredMetadata[]): TrustChain["delegations"] {
  const body = metadata.findLast(({ role }) => role === "targets")?.body;
  const targets = body === undefined ? undefined : parseMetadata("targets", body);
  const delegations = targets?.ok === true ? readDelegations(targets.value) : undefined;
  return delegations?.ok === true ? delegations.value : new Map();
}

/** The layers that a cluster is to run: those that are assigned, delegated, and meant for its labels. */
export function layersFor(
  { layers, labels }: Pick<DesiredRow, "layers" | "labels">,
  { delegations }: Pick<TrustChain, "delegations">,
): readonly DesiredLayer[] {
  return delegatedTo(labels, layers, delegations);
}
