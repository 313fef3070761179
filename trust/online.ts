import { accept, type Checked } from "./checked.ts";
import { layerRole } from "./delegations.ts";
import { lifeMembers, lifetimesMs } from "./life.ts";
import { encodeMetadata, parseMetadata, sha256Hex, type Document } from "./metadata.ts";

export interface OnlineSpec {
  /** Must be above every version that was ever published: agents refuse to go back. */
  readonly version: number;
  readonly now: Date;
  /** 7 days for a snapshot and 24 hours for a timestamp when absent. */
  readonly lifetimeMs?: number;
}

/**
 * Unsigned snapshot metadata that pins these targets by version, length and hash, and the lists of layers by the name of their
 * layer. A list that was ever pinned has to stay, also when its layer is taken back: agents refuse a snapshot without it.
 */
export function newSnapshot(
  targets: Uint8Array,
  spec: OnlineSpec,
  lists: ReadonlyMap<string, Uint8Array> = new Map(),
): Checked<Uint8Array> {
  const files: [string, Document][] = [];
  for (const [file, bytes] of [["targets.json", targets] as const, ...filesOf(lists)]) {
    const document = parseMetadata("targets", bytes);
    if (!document.ok) return document;
    files.push([file, document.value]);
  }
  return accept(pin("snapshot", files, spec, lifetimesMs.snapshot));
}

function filesOf(lists: ReadonlyMap<string, Uint8Array>) {
  return [...lists].map(([layer, bytes]) => [`${layerRole(layer)}.json`, bytes] as const);
}

/** Unsigned timestamp metadata that pins this snapshot by version, length and hash. */
export function newTimestamp(snapshot: Uint8Array, spec: OnlineSpec): Checked<Uint8Array> {
  const document = parseMetadata("snapshot", snapshot);
  return document.ok
    ? accept(pin("timestamp", [["snapshot.json", document.value]], spec, lifetimesMs.timestamp))
    : document;
}

function pin(
  role: string,
  files: readonly (readonly [string, Document])[],
  spec: OnlineSpec,
  lifetimeMs: number,
): Uint8Array {
  const meta = files.map(([file, { version, bytes }]) => {
    const hashes = { sha256: sha256Hex(bytes) };
    return [file, { version, length: bytes.length, hashes }] as const;
  });
  return encodeMetadata({
    _type: role,
    spec_version: "1.0.31",
    version: spec.version,
    ...lifeMembers(spec.now, spec.lifetimeMs ?? lifetimeMs),
    meta: Object.fromEntries(meta),
  });
}

/** True when less than half of `lifetimeMs` is left: time to sign anew. */
export function isHalfOver(expires: Date, lifetimeMs: number, now: Date): boolean {
  return expires.getTime() - now.getTime() < lifetimeMs / 2;
}
