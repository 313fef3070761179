import { checkAuthority, readAuthority } from "./authority.ts";
import { layerLevels, type Layer, type LayerLevel } from "./bundle-types.ts";
import { accept, quote, refuse, type Checked } from "./checked.ts";
import { isList, isObject, memberOf, showJson, unknownKeys, type Json, type JsonObject } from "./json.ts";
import { keyMaterial, keyToJson, shortId, type PublicKey } from "./keys.ts";
import type { Authority, Document } from "./metadata.ts";
import { isLabelKey, isLabelValue, isName } from "./names.ts";

/** What the releases of a layer may say. Bound by the metadata that delegates, and never by what a release says itself. */
export interface LayerBounds {
  /** What the names of new rules, macros and lists begin with; absent when the layer may bring none. */
  readonly prefix?: string;
  /** Rules, macros and lists of others that it may add to, and whose words and priority it may change; "*" for all. */
  readonly tune: readonly string[];
  /** Those that it may also disable, or give another condition, other exceptions or items; "*" for all. */
  readonly replace: readonly string[];
}

/** What a delegation says besides who signs. */
export interface LayerTerms extends LayerBounds {
  readonly level: Exclude<LayerLevel, "base">;
  /** The clusters that the layer is confined to: those that have every label. */
  readonly selector: Layer["selector"];
}

/** The right of a team to release its own layer, as targets metadata gives it. */
export interface LayerDelegation extends LayerTerms {
  /** "payments": the layer's name, and that of its releases. */
  readonly layer: string;
  readonly authority: Authority;
}

/** What a new delegation is to say. */
export interface LayerGrant extends LayerTerms {
  readonly layer: string;
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
}

/** The terms of a delegation, in its role. TUF's own fields say who signs, and for which paths. */
export const layerField = "x-falconry-layer";
export const delegationsMax = 256;
const selectorMax = 16;
const namesMax = 200;
const nameCharsMax = 256;
const ownLevels = layerLevels.filter((level) => level !== "base");

/** The delegated role of a layer, which is also the name of its metadata file: "layer-payments". */
export function layerRole(layer: string): string {
  return `layer-${layer}`;
}

/** The layer of such a role; undefined for roles of other names. */
export function layerOfRole(role: string): string | undefined {
  const layer = role.startsWith("layer-") ? role.slice("layer-".length) : undefined;
  return isName(layer) ? layer : undefined;
}

/** The only paths that the role may sign for. */
export function layerPaths(layer: string): string {
  return `layer/${layer}/*`;
}

/** The delegation of one layer. Roles of other names are none of ours, and whatever they say, it gives no right. */
export function findDelegation(targets: Document<"targets">, layer: string): Checked<LayerDelegation> {
  const delegations = targets.signed["delegations"];
  const role = layerRole(layer);
  const json = rolesIn(delegations).find((each) => memberOf(each, "name") === role);
  if (json !== undefined) return readDelegation(delegations, json, `targets ${targets.version}`);
  return refuse(
    "trust/not-delegated",
    `targets ${targets.version} delegates no layer ${quote(layer)}: it was never given away, or it was taken back`,
  );
}

/** Every delegation of targets metadata, by layer. Refuses what is no delegation of a layer, and layers that could meet in one name. */
export function readDelegations(targets: Document<"targets">): Checked<ReadonlyMap<string, LayerDelegation>> {
  const from = `targets ${targets.version}`;
  const delegations = targets.signed["delegations"];
  const found = new Map<string, LayerDelegation>();
  const roles = rolesIn(delegations);
  const [odd] = unknownKeys(isObject(delegations) ? delegations : {}, ["keys", "roles"]);
  if (odd !== undefined) return refuse("trust/malformed", `${from}: delegations have a field ${quote(odd)}`);
  if (roles.length > delegationsMax) {
    return refuse(
      "trust/too-large",
      `${from} has ${roles.length} delegations; at most ${delegationsMax} are accepted`,
    );
  }
  for (const json of roles) {
    const delegation = readDelegation(delegations, json, from);
    if (!delegation.ok) return delegation;
    found.set(delegation.value.layer, delegation.value);
  }
  const clash = clashIn([...found.values()]);
  return clash === undefined ? accept(found) : refuse("trust/malformed", `${from}: ${clash}`);
}

/** Why two layers could come in each other's way: which of two that meet comes first must not decide anything. */
function clashIn(all: readonly LayerDelegation[]): string | undefined {
  for (const [index, one] of all.entries()) {
    for (const other of all.slice(index + 1)) {
      const both = `layers ${quote(one.layer)} and ${quote(other.layer)}`;
      if (one.level === other.level && canMeet(one.selector, other.selector)) {
        return `${both} of level ${one.level} can meet on a cluster: make their selectors exclude one another, or give one another level`;
      }
      const [p, q] = [one.prefix, other.prefix];
      if (p === undefined || q === undefined || !(p.startsWith(q) || q.startsWith(p))) continue;
      return `${both} could define the same names, with prefixes ${quote(p)} and ${quote(q)}: let neither begin with the other`;
    }
  }
  return undefined;
}

function canMeet(one: Layer["selector"], other: Layer["selector"]): boolean {
  return Object.entries(one).every(([label, value]) => (other[label] ?? value) === value);
}

/**
 * What a server demands of delegations before it publishes the targets that make them: they can be read, something can be
 * signed for them, and no key of theirs signs targets as well, because one signature must never hold for two lists.
 */
export function checkDelegations(targets: Document<"targets">, signers: Authority): Checked<true> {
  const delegations = readDelegations(targets);
  if (!delegations.ok) return delegations;
  const ours = new Set([...signers.keys.values()].map(keyMaterial));
  for (const { layer, authority } of delegations.value.values()) {
    const fit = checkAuthority(layerRole(layer), authority);
    if (!fit.ok) return fit;
    const shared = [...authority.keys.values()].find((key) => ours.has(keyMaterial(key)));
    if (shared === undefined) continue;
    return refuse(
      "trust/malformed",
      `${authority.from}: key ${shortId(shared.keyId)} of ${layerRole(layer)} signs targets, too: give the layer a key of its own`,
    );
  }
  return accept(true);
}

function rolesIn(delegations: Json | undefined): readonly Json[] {
  const roles = memberOf(delegations, "roles");
  return isList(roles) ? roles : [];
}

function readDelegation(delegations: Json | undefined, json: Json, from: string): Checked<LayerDelegation> {
  const role = memberOf(json, "name");
  const bad = (why: string) => refuse("trust/malformed", `${from}: delegation ${showJson(role)} ${why}`);
  const layer = typeof role === "string" ? layerOfRole(role) : undefined;
  if (layer === undefined) {
    return bad('is of no layer; its name has to be "layer-" and a name such as "payments"');
  }
  const paths = memberOf(json, "paths");
  if (!isList(paths) || paths.length !== 1 || paths[0] !== layerPaths(layer)) {
    return bad(`is not for the paths ${layerPaths(layer)} alone`);
  }
  if (memberOf(json, "terminating") !== true) return bad("is not terminating");
  const authority = readAuthority(memberOf(delegations, "keys"), layerRole(layer), json, from);
  if (!authority.ok) return authority;
  const terms = readTerms(memberOf(json, layerField));
  if (typeof terms === "string") return bad(`has no terms that can be kept: ${layerField}${terms}`);
  return accept({ layer, authority: authority.value, ...terms });
}

/** The terms, or what is wrong with them. What is not known is refused: it may be a limit. */
function readTerms(json: Json | undefined): LayerTerms | string {
  if (!isObject(json)) return " is missing";
  const [odd] = unknownKeys(json, ["level", "selector", "prefix", "tune", "replace"]);
  if (odd !== undefined) return ` has an unknown field ${quote(odd)}`;
  const level = ownLevels.find((known) => known === json["level"]);
  if (level === undefined) return `.level is none of ${ownLevels.join(", ")}`;
  const { selector, prefix, tune, replace } = json;
  if (!isSelector(selector)) return `.selector does not name 1 to ${selectorMax} labels with their values`;
  if (prefix !== undefined && !isName(prefix)) return '.prefix is no name such as "payments"';
  if (!isNames(tune)) return `.tune is no list of at most ${namesMax} names`;
  if (!isNames(replace)) return `.replace is no list of at most ${namesMax} names`;
  return { level, selector, tune, replace, ...(prefix === undefined ? {} : { prefix }) };
}

function isSelector(json: Json | undefined): json is Readonly<Record<string, string>> {
  if (!isObject(json)) return false;
  const entries = Object.entries(json);
  if (entries.length === 0 || entries.length > selectorMax) return false;
  return entries.every(([label, value]) => isLabelKey(label) && isLabelValue(value));
}

function isNames(json: Json | undefined): json is readonly string[] {
  if (!isList(json) || json.length > namesMax) return false;
  return json.every((name) => typeof name === "string" && name.length > 0 && name.length <= nameCharsMax);
}

/**
 * The `delegations` of the next targets: those of `before`, without the layers that are taken back, and with the grants, each
 * in place of the one that the layer had. Undefined when nothing is delegated.
 */
export function nextDelegations(
  before: Document<"targets"> | undefined,
  grants: readonly LayerGrant[],
  revoked: readonly string[],
): Checked<JsonObject | undefined> {
  const known = before === undefined ? accept(new Map<string, LayerDelegation>()) : readDelegations(before);
  if (!known.ok) return known;
  const next = new Map<string, LayerGrant>(
    [...known.value].map(([layer, { authority, ...terms }]) => [
      layer,
      { ...terms, keys: [...authority.keys.values()], threshold: authority.threshold },
    ]),
  );
  for (const layer of revoked) {
    if (next.delete(layer)) continue;
    const at = `targets ${before?.version ?? 0}`;
    return refuse(
      "trust/not-delegated",
      `${at} delegates no layer ${quote(layer)}, so it cannot be taken back`,
    );
  }
  for (const grant of grants) next.set(grant.layer, grant);
  if (next.size === 0) return accept(undefined);
  const all = [...next.values()];
  const keys = Object.fromEntries(all.flatMap((each) => each.keys.map((key) => [key.keyId, keyToJson(key)])));
  return accept({ keys, roles: all.map(roleToJson) });
}

function roleToJson({ layer, keys, threshold, level, selector, prefix, tune, replace }: LayerGrant): Json {
  return {
    name: layerRole(layer),
    keyids: [...new Set(keys.map(({ keyId }) => keyId))],
    threshold,
    terminating: true,
    paths: [layerPaths(layer)],
    [layerField]: { level, selector, tune, replace, ...(prefix === undefined ? {} : { prefix }) },
  };
}
