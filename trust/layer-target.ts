import { layerMatches } from "./bundle.ts";
import { accept, quote, refuse, type Checked } from "./checked.ts";
import { findDelegation, layerRole, type LayerDelegation } from "./delegations.ts";
import { pinnedList } from "./held-layers.ts";
import { memberOf } from "./json.ts";
import { checkLayerListFresh } from "./layer-list.ts";
import { layerOfPath, type LayerRef } from "./layer-release.ts";
import { checkListed } from "./listed.ts";
import { viewTrusted, type Trusted } from "./trusted.ts";
import { checkChain } from "./update.ts";

type Labels = Readonly<Record<string, string>>;

/**
 * Accepts a release of a layer only when the whole chain of metadata is complete and fresh, its targets delegate the layer, to
 * clusters with these labels among others, and the list that the delegation's keys signed names it with the same length and
 * hash. Answers with the delegation: what the release may say. For what is to be started, as `checkTarget`.
 */
export function checkLayerTarget(
  trusted: Trusted,
  target: LayerRef,
  labels: Labels,
  now: Date,
): Checked<LayerDelegation> {
  const view = viewTrusted(trusted);
  if (!view.ok) return view;
  const inForce = checkChain(view.value, now);
  if (!inForce.ok) return inForce;
  const layer = layerOfPath(target.path);
  if (layer === undefined) {
    return refuse(
      "trust/not-listed",
      `${quote(target.path)} is no release of a layer: layer/NAME/VERSION.json`,
    );
  }
  const delegation = findDelegation(inForce.value, layer);
  if (!delegation.ok) return delegation;
  const fits = checkConfined(delegation.value, labels);
  if (!fits.ok) return fits;
  const text = memberOf(trusted.layers, layer);
  const role = layerRole(layer);
  if (typeof text !== "string") {
    return refuse("trust/incomplete", `${role} metadata is missing; the server has to send it`);
  }
  const list = pinnedList(layer, Buffer.from(text), inForce.value, view.value.snapshot);
  if (!list.ok) return list;
  const fresh = checkLayerListFresh(list.value, layer, now);
  if (!fresh.ok) return fresh;
  const listed = checkListed(list.value.listed.get(target.path), target, `${role} ${list.value.version}`);
  return listed.ok ? delegation : listed;
}

/** Accepts a delegation only for clusters that it is confined to, whatever a release or a server says. */
export function checkConfined(delegation: LayerDelegation, labels: Labels): Checked<LayerDelegation> {
  if (layerMatches(delegation, labels)) return accept(delegation);
  const wanted = Object.entries(delegation.selector).map(([label, value]) => `${label}=${value}`);
  return refuse(
    "trust/beyond-delegation",
    `${delegation.authority.from} confines layer ${quote(delegation.layer)} to clusters with ${wanted.join(",")}; this is none of them`,
  );
}

/**
 * By which delegation a layer that runs may go on, whatever has expired. Undefined when no targets metadata is held, as after
 * its keys were replaced: then nobody took anything back. A refusal takes the layer away.
 */
export function standingDelegation(
  trusted: Trusted,
  layer: string,
  labels: Labels,
): Checked<LayerDelegation | undefined> {
  const view = viewTrusted(trusted);
  if (!view.ok) return view;
  if (view.value.targets === undefined) return accept(undefined);
  const delegation = findDelegation(view.value.targets, layer);
  return delegation.ok ? checkConfined(delegation.value, labels) : delegation;
}
