import { accept, quote, refuse, type Checked, type Refusal } from "./checked.ts";
import { findDelegation, layerRole } from "./delegations.ts";
import { verifyLayerList, type LayerListView } from "./layer-list.ts";
import type { Document } from "./metadata.ts";
import { checkBytes, checkPin } from "./pins.ts";

/** An agent keeps the lists of so many layers: those of its own cluster. */
export const layersHeldMax = 16;

/** Lists of layers as text, by the layer's name. */
export type HeldLists = Readonly<Record<string, string>>;

/** What is held after an update, and the first refusal. */
export interface ListsUpdate {
  readonly lists: HeldLists;
  readonly refusal: Refusal | undefined;
}

/**
 * Takes lists of layers in, each by itself: one that is refused says nothing about the others, so that a team's key is no
 * danger to other teams. Those of layers that are no longer delegated are forgotten; their floors stay in the snapshot.
 */
export function takeLists(
  held: HeldLists,
  offered: ReadonlyMap<string, Uint8Array>,
  targets: Document<"targets">,
  snapshot: Document<"snapshot">,
): ListsUpdate {
  const lists = new Map<string, string>();
  let refusal: Refusal | undefined;
  if (offered.size > layersHeldMax) {
    const why = `${offered.size} lists of layers at once; at most ${layersHeldMax} are taken`;
    return { lists: held, refusal: refuse("trust/too-large", why).refusal };
  }
  for (const [layer, bytes] of offered) {
    const list = pinnedList(layer, bytes, targets, snapshot);
    if (list.ok) lists.set(layer, new TextDecoder().decode(bytes));
    else refusal ??= list.refusal;
  }
  for (const [layer, text] of Object.entries(held)) {
    if (lists.has(layer) || lists.size === layersHeldMax) continue;
    if (findDelegation(targets, layer).ok) lists.set(layer, text);
  }
  return { lists: Object.fromEntries(lists), refusal };
}

/** The list of a layer as targets delegate it and the snapshot pins it, or the reason why not. */
export function pinnedList(
  layer: string,
  bytes: Uint8Array,
  targets: Document<"targets">,
  snapshot: Document<"snapshot"> | undefined,
): Checked<LayerListView> {
  const delegation = findDelegation(targets, layer);
  if (!delegation.ok) return delegation;
  const role = layerRole(layer);
  const pin = snapshot?.model.meta[`${role}.json`];
  const by = `snapshot ${snapshot?.version ?? 0}`;
  if (pin === undefined) return refuse("trust/incomplete", `${by} does not pin ${quote(`${role}.json`)}`);
  const intact = checkBytes(role, bytes, pin, by);
  if (!intact.ok) return intact;
  const list = verifyLayerList(bytes, delegation.value);
  if (!list.ok) return list;
  const pinned = checkPin(role, list.value.document, pin, by);
  return pinned.ok ? accept(list.value) : pinned;
}
