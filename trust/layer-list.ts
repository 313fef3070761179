import { accept, quote, refuse, type Checked, type Refused } from "./checked.ts";
import { findDelegation, layerRole, type LayerDelegation } from "./delegations.ts";
import { isObject, isWholeNumber, memberOf, type Json } from "./json.ts";
import { layerBytesMax, layerPath, type BuiltLayer, type LayerRef } from "./layer-release.ts";
import { lifeMembers, lifetimesMs } from "./life.ts";
import { checkExpiry, checkSignatures, encodeMetadata, parseMetadata, type Document } from "./metadata.ts";
import { isSha256, isVersion } from "./names.ts";

/** A release as the list of its layer names it. */
export interface ListedLayer extends LayerRef {
  readonly name: string;
  readonly version: string;
}

/** The metadata of a delegated role with its list read; by path. */
export interface LayerListView {
  readonly document: Document<"targets">;
  readonly version: number;
  readonly listed: ReadonlyMap<string, ListedLayer>;
}

export interface LayerListChange {
  readonly layer: string;
  readonly add: readonly Pick<BuiltLayer, "release" | "target">[];
  /** Paths that are no longer released. */
  readonly remove?: readonly string[];
  readonly now: Date;
  /** 90 days when absent. */
  readonly lifetimeMs?: number;
}

/** So much at most: an agent keeps the lists of its layers with its trust. */
export const layerListBytesMax = 64 * 1024;

/** The next metadata of a layer's role, unsigned: what `previous` lists, with the change applied. */
export function newLayerList(previous: Uint8Array | undefined, change: LayerListChange): Checked<Uint8Array> {
  const { layer, add, remove = [], now, lifetimeMs = lifetimesMs.targets } = change;
  const before = previous === undefined ? accept(undefined) : readLayerList(previous, layer);
  if (!before.ok) return before;
  const listed = new Map(before.value?.listed ?? []);
  const last = before.value?.version ?? 0;
  for (const path of remove) {
    if (listed.delete(path)) continue;
    const at = `${layerRole(layer)} ${last}`;
    return refuse("trust/not-listed", `${at} does not list ${quote(path)}, so it cannot be removed`);
  }
  for (const { release, target } of add) {
    const known = listed.get(target.path);
    if (known !== undefined && known.sha256 !== target.sha256) return changed(known, target);
    listed.set(target.path, { ...target, name: release.name, version: release.version });
  }
  const targets = Object.fromEntries([...listed.values()].map((entry) => [entry.path, entryToJson(entry)]));
  const life = lifeMembers(now, lifetimeMs);
  const bytes = encodeMetadata({
    _type: "targets",
    spec_version: "1.0.31",
    version: last + 1,
    ...life,
    targets,
  });
  const read = readLayerList(bytes, layer);
  return read.ok ? accept(bytes) : read;
}

function entryToJson({ name, version, length, sha256 }: ListedLayer): Json {
  return { length, hashes: { sha256 }, custom: { kind: "layer", name, version } };
}

function changed(known: LayerRef, next: LayerRef): Refused {
  return refuse(
    "trust/changed-target",
    `${next.path} is released with sha256 ${known.sha256} and cannot become ${next.sha256}: give the layer a new version`,
  );
}

/**
 * Reads the metadata of a layer's role. It may list releases of that layer and nothing else, and may not delegate any further:
 * so there are no chains of delegations and no circles.
 */
export function readLayerList(bytes: Uint8Array, layer: string): Checked<LayerListView> {
  const role = layerRole(layer);
  if (bytes.length > layerListBytesMax) {
    return refuse(
      "trust/too-large",
      `${role} has ${bytes.length} bytes; at most ${layerListBytesMax} are accepted: withdraw old releases`,
    );
  }
  const parsed = parseMetadata("targets", bytes);
  if (!parsed.ok) return refuse(parsed.refusal.code, `${role}: ${parsed.refusal.message}`);
  const { signed, version } = parsed.value;
  if (signed["delegations"] !== undefined) {
    return refuse("trust/malformed", `${role} ${version} delegates in its turn; a layer cannot be given on`);
  }
  const listed = new Map<string, ListedLayer>();
  for (const [path, json] of Object.entries(isObject(signed["targets"]) ? signed["targets"] : {})) {
    const entry = readEntry(path, json, layer);
    if (entry === undefined) {
      return refuse(
        "trust/beyond-delegation",
        `${role} ${version}: ${quote(path)} is not layer/${layer}/VERSION.json with length, sha256 and the same kind, name and ` +
          "version in custom; nothing else may be signed with a layer's key",
      );
    }
    listed.set(path, entry);
  }
  return accept({ document: parsed.value, version, listed });
}

function readEntry(path: string, json: Json, layer: string): ListedLayer | undefined {
  const length = memberOf(json, "length");
  const sha256 = memberOf(memberOf(json, "hashes"), "sha256");
  const custom = memberOf(json, "custom");
  const version = memberOf(custom, "version");
  if (memberOf(custom, "kind") !== "layer" || memberOf(custom, "name") !== layer) return undefined;
  if (!isVersion(version) || path !== layerPath({ name: layer, version })) return undefined;
  if (!isSha256(sha256) || !isWholeNumber(length, 1, layerBytesMax)) return undefined;
  return { path, name: layer, version, length, sha256 };
}

/** Reads the list of a layer as one that enough keys of its delegation signed. Whether it is fresh is another question. */
export function verifyLayerList(bytes: Uint8Array, delegation: LayerDelegation): Checked<LayerListView> {
  const { layer, authority } = delegation;
  const list = readLayerList(bytes, layer);
  if (!list.ok) return list;
  const signed = checkSignatures(list.value.document, authority);
  return signed.ok ? list : refuse(signed.refusal.code, `${layerRole(layer)}: ${signed.refusal.message}`);
}

/** Refuses a list that is over. */
export function checkLayerListFresh(list: LayerListView, layer: string, now: Date): Checked<LayerListView> {
  const fresh = checkExpiry(list.document, now);
  return fresh.ok
    ? accept(list)
    : refuse(fresh.refusal.code, `${layerRole(layer)}: ${fresh.refusal.message}`);
}

/**
 * What a server demands before it publishes the list of a layer: delegated by the targets in force, signed by that delegation,
 * the next version after `current` (whoever signed that), fresh, and no released path with other bytes. The same bytes again
 * are accepted.
 */
export function checkNextLayerList(
  targets: Document<"targets">,
  layer: string,
  current: Uint8Array | undefined,
  next: Uint8Array,
  now: Date,
): Checked<LayerListView> {
  const delegation = findDelegation(targets, layer);
  if (!delegation.ok) return delegation;
  const list = verifyLayerList(next, delegation.value);
  if (!list.ok) return list;
  const fresh = checkLayerListFresh(list.value, layer, now);
  if (!fresh.ok) return fresh;
  if (current === undefined || Buffer.from(next).equals(current)) return list;
  const before = readLayerList(current, layer);
  return before.ok ? followList(before.value, list.value, layer) : before;
}

function followList(before: LayerListView, next: LayerListView, layer: string): Checked<LayerListView> {
  if (next.version !== before.version + 1) {
    const code = next.version <= before.version ? "trust/rollback" : "trust/version-mismatch";
    return refuse(
      code,
      `${layerRole(layer)} ${next.version} does not follow version ${before.version}; expected ${before.version + 1}: ` +
        "fetch the current list, add the release again, and sign",
    );
  }
  for (const entry of next.listed.values()) {
    const known = before.listed.get(entry.path);
    if (known !== undefined && known.sha256 !== entry.sha256) return changed(known, entry);
  }
  return accept(next);
}
