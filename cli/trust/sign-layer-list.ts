import {
  checkNextLayerList,
  findDelegation,
  layerRole,
  newLayerList,
  readLayerList,
  readTargets,
  signMetadata,
  type BuiltLayer,
  type LayerDelegation,
  type LayerListView,
} from "#trust";
import { refused } from "../failure.ts";
import type { Talk } from "./exec-signer.ts";
import { orRefuse } from "./files.ts";
import type { KeySource } from "./signers.ts";

export interface ListOptions {
  readonly layer: string;
  /** The targets that the server publishes. */
  readonly targets: Uint8Array;
  /** The list that it publishes now; undefined before the first push. */
  readonly previous: Uint8Array | undefined;
  readonly sources: readonly KeySource[];
  readonly passphrase: string | undefined;
  readonly talk: Talk;
  readonly now: Date;
}

export type ListChange =
  | { readonly releases: readonly BuiltLayer[]; readonly remove: readonly string[] }
  | { readonly begun: Uint8Array };

export interface SignedList {
  readonly list: Uint8Array;
  readonly view: LayerListView;
  /** Absent when the list can be published; else why not yet: more people have to sign. */
  readonly missing?: string;
}

/** The delegation of a layer, as the published targets have it. */
export function delegationOf(targets: Uint8Array, layer: string): LayerDelegation {
  const { document } = orRefuse(readTargets(targets));
  return orRefuse(findDelegation(document, layer), `fleetctl trust delegate ${layer}   gives it to its team`);
}

/** Makes the next list of a layer, or takes one that was begun, signs it, and holds it against the delegation as the server will. */
export async function signLayerList(options: ListOptions, change: ListChange): Promise<SignedList> {
  const { layer, targets, previous, sources, passphrase, talk, now } = options;
  const unsigned =
    "begun" in change
      ? change.begun
      : orRefuse(newLayerList(previous, { layer, add: change.releases, remove: change.remove, now }));
  const signers = sources.map((source) => source.open(passphrase, talk));
  const list = orRefuse(await signMetadata(unsigned, signers));
  const view = orRefuse(readLayerList(list, layer));
  const { document } = orRefuse(readTargets(targets));
  const checked = checkNextLayerList(document, layer, previous, list, now);
  if (checked.ok) return { list, view };
  const { code, message } = checked.refusal;
  if (code === "trust/threshold-not-met") return { list, view, missing: message };
  throw refused(`this list of ${layerRole(layer)} cannot be published: ${message} (${code})`);
}
