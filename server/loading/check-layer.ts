import { misfitLayer, unreadableLayer } from "#layers";
import {
  describeLayer,
  parseBundle,
  parseLayerRelease,
  readLayerList,
  type LayerListView,
  type LayerTerms,
} from "#trust";

import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import { fromTrust } from "../trust-refusal.ts";
import { cut } from "./check-bundle.ts";
import type { PushedBundle } from "./check-push.ts";

export interface PushedLayer {
  readonly org: string;
  readonly layer: string;
  readonly terms: LayerTerms;
  readonly releases: readonly Uint8Array[];
  /** The signed list of the layer; its signatures are judged where it is stored. */
  readonly list: Uint8Array;
  /** Rules bundles that the layer's clusters are assigned: a release has to pass on one of them. */
  readonly bases: readonly Uint8Array[];
}

/** Reads what was pushed for a layer, finds each release in the list, and tries whether it can be put on the rules of its clusters. */
export function checkLayerPush(pushed: PushedLayer): Outcome<readonly PushedBundle[]> {
  const list = readLayerList(pushed.list, pushed.layer);
  if (!list.ok) return refuse(fromTrust("list", list.refusal));
  const checked: PushedBundle[] = [];
  for (const [index, bytes] of pushed.releases.entries()) {
    const release = checkOne(`releases[${index}]`, pushed, bytes, list.value);
    if (!release.ok) return release;
    checked.push(release.value);
  }
  return accept(checked);
}

function checkOne(
  field: string,
  { org, layer, terms, bases }: PushedLayer,
  bytes: Uint8Array,
  list: LayerListView,
): Outcome<PushedBundle> {
  const parsed = parseLayerRelease(bytes);
  if (!parsed.ok) return refuse(fromTrust(field, parsed.refusal));
  const release = parsed.value;
  if (release.org !== org) {
    return invalid(field, `is for the org "${release.org}"; this server is of "${org}"`);
  }
  if (release.name !== layer) return invalid(field, `is a release of the layer "${release.name}"`);
  const { digest, target } = describeLayer(release, bytes);
  const listed = list.listed.get(target.path);
  if (listed === undefined) {
    return invalid(field, `the list of the layer does not name ${target.path}: sign it first`);
  }
  if (listed.sha256 !== target.sha256 || listed.length !== target.length) {
    const why = `the list of the layer names ${target.path} with sha256:${listed.sha256}; this one has ${digest}: sign what you push`;
    return invalid(field, why);
  }
  const rules = bases.flatMap((base) => {
    const bundle = parseBundle(base);
    return bundle.ok ? [bundle.value] : [];
  });
  const problem = unreadableLayer(release) ?? misfitLayer({ release, terms }, rules);
  if (problem !== undefined) return invalid(field, cut(problem));
  const { name, version } = release;
  return accept({ digest, kind: "layer", name, version, targetPath: target.path, counts: {} });
}
