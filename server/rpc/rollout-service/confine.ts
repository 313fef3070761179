import type { LayerDelegation } from "#trust";

import { layerOf, type ComponentName } from "../../domain/component.ts";
import { accept, type Outcome } from "../../domain/refusal.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { Requirement, Selector } from "../../domain/selector.ts";
import type { Db } from "../../store/pool.ts";
import { findLayerDelegation } from "../../store/push-layer.ts";
import { fromTrust } from "../../trust-refusal.ts";

/** A selector within what the delegation of a layer confines it to; that of other components as it is. */
export async function confineSelector(
  db: Db,
  field: string,
  component: ComponentName,
  selector: Selector,
): Promise<Outcome<Selector>> {
  const layer = layerOf(component);
  if (layer === undefined) return accept(selector);
  const found = await findLayerDelegation(db, layer, (refusal) => fromTrust(field, refusal));
  return found.ok ? accept(within(selector, found.value)) : found;
}

/**
 * The spec of a layer with the labels of its delegation: nobody chooses clusters for it that it is not confined to, now or
 * later. Other specs as they are.
 */
export async function confine(db: Db, spec: RolloutSpec): Promise<Outcome<RolloutSpec>> {
  const selector = await confineSelector(db, "spec.bundle", spec.kind, spec.selector);
  return selector.ok ? accept({ ...spec, selector: selector.value }) : selector;
}

function within(selector: Selector, { selector: labels }: LayerDelegation): Selector {
  const own = Object.entries(labels).map(([key, value]): Requirement => ({
    key,
    operator: "in",
    values: [value],
  }));
  const said = new Set(selector.map((each) => JSON.stringify(each)));
  return [...selector, ...own.filter((each) => !said.has(JSON.stringify(each)))];
}
