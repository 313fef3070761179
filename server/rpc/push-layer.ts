import type { HandlerContext } from "@connectrpc/connect";
import type { PushLayerRequest } from "#proto/fleet/v1/bundle";
import { isName, layerBytesMax, layerListBytesMax, type LayerDelegation } from "#trust";

import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import { isWithin, scopeText, type Scope } from "../domain/scope.ts";
import type { Selector } from "../domain/selector.ts";
import type { BundleRow } from "../store/bundles.ts";
import { findLayerDelegation, pushLayer, readLayerBases } from "../store/push-layer.ts";
import { fromTrust } from "../trust-refusal.ts";
import { readyBundle, type BundleServiceOptions } from "./bundle-service.ts";
import { operatorOf } from "./caller.ts";
import { orRefuse } from "./refusals.ts";

const releasesMax = 16;

/** Publishes releases of a layer: for whoever may see every cluster that the layer is confined to. */
export async function handlePushLayer(
  { db, org, audit, keyring, loader, now }: BundleServiceOptions,
  request: PushLayerRequest,
  context: HandlerContext,
): Promise<readonly BundleRow[]> {
  const { layer, releases: contents, list } = orRefuse(checkSizes(request));
  const refusalOf = (refusal: Parameters<typeof fromTrust>[1]) => fromTrust("list", refusal);
  const delegation = orRefuse(await findLayerDelegation(db, layer, refusalOf));
  const { scope, name: pushedBy } = operatorOf(context);
  orRefuse(judgeReach(scope, delegation));
  const { layer: _layer, authority: _authority, ...terms } = delegation;
  const bases = contents.length === 0 ? [] : await readLayerBases(db, delegation);
  const input = { org, layer, terms, releases: contents, list, bases };
  const checked = orRefuse(await loader.run("checkLayerPush", input, context.signal));
  const pushed = await pushLayer(db, {
    layer,
    releases: contents.map((content, i) => readyBundle(content, checked[i])),
    list,
    keyring,
    pushedBy,
    now: now(),
    note: audit.note(context, request),
    refusalOf,
  });
  return orRefuse(pushed);
}

function checkSizes(request: PushLayerRequest): Outcome<PushLayerRequest> {
  const isFit: boolean = isName(request.layer);
  if (!isFit) return invalid("layer", `"${request.layer.slice(0, 80)}" is no name of a layer`);
  if (request.releases.length > releasesMax) {
    const why = `${request.releases.length} releases at once; at most ${releasesMax} are taken`;
    return refuse({ kind: "over-limit", why });
  }
  const long = request.releases.find((bytes) => bytes.length > layerBytesMax);
  if (long !== undefined) {
    const why = `A release has ${long.length} bytes; at most ${layerBytesMax} are taken`;
    return refuse({ kind: "over-limit", why });
  }
  if (request.list.length <= layerListBytesMax) return accept(request);
  const why = `The list has ${request.list.length} bytes; at most ${layerListBytesMax} are taken: withdraw old releases`;
  return refuse({ kind: "over-limit", why });
}

/** Judged by the labels alone: whoever releases for clusters that he may not know of would change them unseen. */
function judgeReach(scope: Scope, { layer, selector }: LayerDelegation): Outcome<true> {
  const confined: Selector = Object.entries(selector).map(([key, value]) => ({
    key,
    operator: "in",
    values: [value],
  }));
  if (isWithin(confined as Scope, scope)) return accept(true);
  const why = `The layer "${layer}" reaches clusters beyond your scope, which is ${scopeText(scope)}`;
  return refuse({ kind: "forbidden", why });
}
