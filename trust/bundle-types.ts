export const bundleKinds = ["rules", "shipper"] as const;
export type BundleKind = (typeof bundleKinds)[number];

/** In the order in which layers apply. */
export const layerLevels = ["base", "tribe", "team", "project", "cluster"] as const;
export type LayerLevel = (typeof layerLevels)[number];

export interface BundleFile {
  readonly path: string;
  readonly content: string;
}

/** An override that applies where every label of `selector` has the given value. */
export interface Layer {
  readonly name: string;
  readonly level: LayerLevel;
  readonly selector: Readonly<Record<string, string>>;
  readonly files: readonly BundleFile[];
}

/** A versioned set of files with its layers; the unit that is signed and rolled out. */
export interface Bundle {
  readonly format: 1;
  readonly org: string;
  readonly kind: BundleKind;
  readonly name: string;
  readonly version: string;
  readonly requires?: { readonly engine?: string };
  readonly files: readonly BundleFile[];
  readonly layers: readonly Layer[];
}

/** How targets metadata and assignments name a bundle. `sha256` is 64 hex digits, `length` is in bytes. */
export interface TargetRef {
  readonly kind: BundleKind;
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
}

/** A bundle with the exact bytes that are hashed, signed for and shipped. */
export interface BuiltBundle {
  readonly bundle: Bundle;
  readonly bytes: Uint8Array;
  /** "sha256:" and 64 hex digits. */
  readonly digest: string;
  readonly target: TargetRef;
}

export const bundleBytesMax = 16 * 1024 * 1024;
export const bundleFilesMax = 200;
export const bundleLayersMax = 64;
