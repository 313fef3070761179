import { createHash } from "node:crypto";

import { readBundle } from "./bundle-shape.ts";
import {
  bundleBytesMax,
  layerLevels,
  type BuiltBundle,
  type Bundle,
  type Layer,
  type TargetRef,
} from "./bundle-types.ts";
import { accept, refuse, type Checked } from "./checked.ts";
import { canonicalJson, readJson, type Json } from "./json.ts";
import { isVersion } from "./names.ts";

const depthMax = 8;

/**
 * Reads the bytes of a bundle. Only the canonical form is accepted, so one content has one digest and no two parsers
 * can read it differently.
 */
export function parseBundle(bytes: Uint8Array): Checked<Bundle> {
  const json = readJson(bytes, { what: "bundle", bytesMax: bundleBytesMax, depthMax });
  if (!json.ok) return json;
  const bundle = readBundle(json.value);
  if (!bundle.ok) return bundle;
  if (!Buffer.from(canonicalJson(json.value)).equals(bytes)) {
    return refuse(
      "trust/malformed",
      "bundle is not in canonical form (sorted keys, no white space, no duplicate keys); build it with fleetctl bundle build",
    );
  }
  return bundle;
}

/** Checks a bundle by the same rules as {@link parseBundle} and gives its bytes and digest. */
export function buildBundle(input: Omit<Bundle, "format">): Checked<BuiltBundle> {
  const bundle = readBundle({ format: 1, ...input } as unknown as Json);
  if (!bundle.ok) return bundle;
  const bytes = Buffer.from(canonicalJson(bundle.value as unknown as Json));
  if (bytes.length > bundleBytesMax) {
    return refuse(
      "trust/too-large",
      `bundle ${input.name}@${input.version} has ${bytes.length} bytes; at most ${bundleBytesMax} are accepted`,
    );
  }
  return accept(describeBundle(bundle.value, bytes));
}

/** Puts a parsed bundle and its bytes together with what others call it by. */
export function describeBundle(bundle: Bundle, bytes: Uint8Array): BuiltBundle {
  const digest = bundleDigest(bytes);
  const target = {
    kind: bundle.kind,
    path: targetPath(bundle),
    length: bytes.length,
    sha256: digest.slice("sha256:".length),
  };
  return { bundle, bytes, digest, target };
}

/** "sha256:" and the hash of the bytes in hex. */
export function bundleDigest(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The digest of the bundle that a target names. */
export function digestOfTarget(target: Pick<TargetRef, "sha256">): string {
  return `sha256:${target.sha256}`;
}

/** Where targets metadata lists a bundle: KIND/NAME/VERSION.json. */
export function targetPath(bundle: Pick<Bundle, "kind" | "name" | "version">): string {
  return `${bundle.kind}/${bundle.name}/${bundle.version}.json`;
}

/** How people and files call a layer: "team-payments". */
export function layerId({ level, name }: Pick<Layer, "level" | "name">): string {
  return `${level}-${name}`;
}

/** The files of a layer under the names that they load by: `layers/LEVEL-NAME/PATH`. */
export function layerFiles(layer: Layer): readonly { readonly name: string; readonly content: string }[] {
  return layer.files.map(({ path, content }) => ({ name: `layers/${layerId(layer)}/${path}`, content }));
}

/** True when every label of the layer's selector has the given value. */
export function layerMatches(
  layer: Pick<Layer, "selector">,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(layer.selector).every(([label, value]) => labels[label] === value);
}

/** The layers that apply to a cluster with these labels, in the order in which they apply. */
export function effectiveLayers(
  bundle: Pick<Bundle, "layers">,
  labels: Readonly<Record<string, string>>,
): readonly Layer[] {
  return layerLevels.flatMap((level) =>
    bundle.layers.filter((layer) => layer.level === level && layerMatches(layer, labels)),
  );
}

/** Where a rules bundle says what is done about alerts. Not in a layer: labels, by which layers are chosen, are not signed. */
export const responsePath = "response.yaml";

/** The text of a bundle's responses; undefined when it has none. */
export function responseText(bundle: Bundle): string | undefined {
  if (bundle.kind !== "rules") return undefined;
  return bundle.files.find(({ path }) => path === responsePath)?.content;
}

/**
 * What a cluster with these labels loads as rules or config: base files in bundle order, then the files of its layers, which are named
 * `layers/LEVEL-NAME/PATH` so that a finding points at the file to edit.
 */
export function effectiveFiles(
  bundle: Bundle,
  labels: Readonly<Record<string, string>>,
): readonly { readonly name: string; readonly content: string }[] {
  const loaded = bundle.files.filter(({ path }) => bundle.kind !== "rules" || path !== responsePath);
  const base = loaded.map(({ path, content }) => ({ name: path, content }));
  return [...base, ...effectiveLayers(bundle, labels).flatMap(layerFiles)];
}

/** Refuses when the bundle requires a newer engine than `engineVersion`. */
export function checkEngine<T extends Pick<Bundle, "name" | "version" | "requires">>(
  bundle: T,
  engineVersion: string,
): Checked<T> {
  const required = bundle.requires?.engine?.slice(">=".length);
  if (required === undefined || !isOlder(engineVersion, required)) return accept(bundle);
  return refuse(
    "trust/engine-too-old",
    `bundle ${bundle.name}@${bundle.version} requires engine >=${required}, this one is ${engineVersion}: upgrade the agent first`,
  );
}

/** The older of two engines, each as x.y.z: what a bundle may need where both have to load it. */
export function olderEngine(one: string, other: string): string {
  return isOlder(other, one) ? other : one;
}

function isOlder(version: string, than: string): boolean {
  return !isVersion(version) || inOrder(version) < inOrder(than);
}

/** A version as a text that sorts as versions do; what follows a hyphen is left out. */
function inOrder(version: string): string {
  const [numbers = ""] = version.split("-");
  return numbers
    .split(".")
    .map((part) => part.padStart(9, "0"))
    .join(".");
}
