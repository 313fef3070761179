import { bundleDigest } from "./bundle.ts";
import { bundleBytesMax, type BundleFile } from "./bundle-types.ts";
import { readLayerRelease } from "./bundle-shape.ts";
import { accept, quote, refuse, type Checked } from "./checked.ts";
import { canonicalJson, readJson, type Json } from "./json.ts";
import { isName, isVersion } from "./names.ts";

/** A version of a layer that a team releases by itself. Where it applies, and what it may say, stands in the delegation. */
export interface LayerRelease {
  readonly format: 1;
  readonly kind: "layer";
  readonly org: string;
  /** The layer's name: "payments". */
  readonly name: string;
  readonly version: string;
  readonly requires?: { readonly engine?: string };
  readonly files: readonly BundleFile[];
}

/** How the list of a layer and assignments name a release. `sha256` is 64 hex digits, `length` is in bytes. */
export interface LayerRef {
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
}

/** A release with the exact bytes that are hashed, signed for and shipped. */
export interface BuiltLayer {
  readonly release: LayerRelease;
  readonly bytes: Uint8Array;
  /** "sha256:" and 64 hex digits. */
  readonly digest: string;
  readonly target: LayerRef;
}

/** Far less than a bundle: it holds what is special about some clusters. */
export const layerBytesMax = bundleBytesMax / 16;
const depthMax = 8;

/** Where the list of a layer names a release: layer/NAME/VERSION.json. */
export function layerPath({ name, version }: Pick<LayerRelease, "name" | "version">): string {
  return `layer/${name}/${version}.json`;
}

/** The layer whose release such a path names; undefined for paths of other things. */
export function layerOfPath(path: string): string | undefined {
  const [, name, version] = /^layer\/([^/]+)\/([^/]+)\.json$/.exec(path) ?? [];
  return isName(name) && isVersion(version) ? name : undefined;
}

/** Reads the bytes of a release; only the canonical form is accepted, as with bundles. */
export function parseLayerRelease(bytes: Uint8Array): Checked<LayerRelease> {
  const json = readJson(bytes, { what: "layer release", bytesMax: layerBytesMax, depthMax });
  if (!json.ok) return json;
  const release = readLayerRelease(json.value);
  if (!release.ok) return release;
  if (Buffer.from(canonicalJson(json.value)).equals(bytes)) return release;
  return refuse(
    "trust/malformed",
    "layer release is not in canonical form (sorted keys, no white space, no duplicate keys); build it with fleetctl bundle build",
  );
}

/** Checks a release by the same rules as {@link parseLayerRelease} and gives its bytes and digest. */
export function buildLayerRelease(input: Omit<LayerRelease, "format" | "kind">): Checked<BuiltLayer> {
  const release = readLayerRelease({ format: 1, kind: "layer", ...input } as unknown as Json);
  if (!release.ok) return release;
  const bytes = Buffer.from(canonicalJson(release.value as unknown as Json));
  if (bytes.length <= layerBytesMax) return accept(describeLayer(release.value, bytes));
  const what = `layer release ${input.name}@${input.version}`;
  return refuse(
    "trust/too-large",
    `${what} has ${bytes.length} bytes; at most ${layerBytesMax} are accepted`,
  );
}

/** Puts a parsed release and its bytes together with what others call it by. */
export function describeLayer(release: LayerRelease, bytes: Uint8Array): BuiltLayer {
  const digest = bundleDigest(bytes);
  const target = { path: layerPath(release), length: bytes.length, sha256: digest.slice("sha256:".length) };
  return { release, bytes, digest, target };
}

/** Accepts a release, whose bytes were checked, only as one of this organisation under the path that was signed for. */
export function checkLayerFits(path: string, release: LayerRelease, org: string): Checked<LayerRelease> {
  if (release.org !== org) {
    const seen = quote(release.org);
    return refuse(
      "trust/wrong-org",
      `${path} is a layer of org ${seen}; this agent belongs to ${quote(org)}`,
    );
  }
  if (layerPath(release) === path) return accept(release);
  return refuse("trust/not-listed", `${path} holds the layer release of ${layerPath(release)}`);
}
