import { accept, type Checked } from "./checked.ts";
import { lifeMembers, lifetimesMs } from "./life.ts";
import { encodeMetadata, parseMetadata, sha256Hex, type Document } from "./metadata.ts";

export interface OnlineSpec {
  /** Must be above every version that was ever published: agents refuse to go back. */
  readonly version: number;
  readonly now: Date;
  /** 7 days for a snapshot and 24 hours for a timestamp when absent. */
  readonly lifetimeMs?: number;
}

/** Unsigned snapshot metadata that pins these targets by version, length and hash. */
export function newSnapshot(targets: Uint8Array, spec: OnlineSpec): Checked<Uint8Array> {
  const document = parseMetadata("targets", targets);
  return document.ok
    ? accept(pin("snapshot", "targets.json", document.value, spec, lifetimesMs.snapshot))
    : document;
}

/** Unsigned timestamp metadata that pins this snapshot by version, length and hash. */
export function newTimestamp(snapshot: Uint8Array, spec: OnlineSpec): Checked<Uint8Array> {
  const document = parseMetadata("snapshot", snapshot);
  return document.ok
    ? accept(pin("timestamp", "snapshot.json", document.value, spec, lifetimesMs.timestamp))
    : document;
}

function pin(role: string, file: string, pinned: Document, spec: OnlineSpec, lifetimeMs: number): Uint8Array {
  const { version, bytes } = pinned;
  return encodeMetadata({
    _type: role,
    spec_version: "1.0.31",
    version: spec.version,
    ...lifeMembers(spec.now, spec.lifetimeMs ?? lifetimeMs),
    meta: { [file]: { version, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } } },
  });
}

/** True when less than half of `lifetimeMs` is left: time to sign anew. */
export function isHalfOver(expires: Date, lifetimeMs: number, now: Date): boolean {
  return expires.getTime() - now.getTime() < lifetimeMs / 2;
}
