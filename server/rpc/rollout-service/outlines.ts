import { createHash } from "node:crypto";

import { parseBundle, parseLayerRelease, type Bundle } from "#trust";

import type { BundleName } from "../../store/bundles.ts";
import type { Db } from "../../store/pool.ts";
import { readBundleContents } from "../../store/rollout-bundles.ts";

/** A bundle without what its files hold: which layers apply where, and what it asks for. */
export type Outline = Pick<Bundle, "name" | "version" | "requires" | "layers">;

const outlinesMax = 200;
/** By digest, used last stands last. What a digest names never changes. */
const kept = new Map<string, Outline>();

/**
 * The outlines of some bundles by digest, without those that are not there or cannot be read. Reading a bundle holds everybody up for as
 * long as it takes to parse, which for the largest is most of a second: it happens once for each, and not with every plan and start.
 */
export async function readOutlines(
  db: Db,
  kind: BundleName["kind"],
  digests: readonly string[],
): Promise<ReadonlyMap<string, Outline>> {
  const found = new Map<string, Outline>();
  const missing: string[] = [];
  for (const digest of new Set(digests)) {
    const outline = kept.get(digest);
    if (outline === undefined) missing.push(digest);
    else hold(digest, outline, found);
  }
  for (const [digest, content] of await readBundleContents(db, missing)) {
    const outline = outlineOf(kind, content);
    if (outline === undefined) continue;
    // Bytes that are not what their digest names count as long as they are stored, and no longer.
    const isWhole = digest === `sha256:${createHash("sha256").update(content).digest("hex")}`;
    if (isWhole) hold(digest, outline, found);
    else found.set(digest, outline);
  }
  return found;
}

function hold(digest: string, outline: Outline, found: Map<string, Outline>): void {
  found.set(digest, outline);
  kept.delete(digest);
  kept.set(digest, outline);
  const [oldest] = kept.keys();
  if (kept.size > outlinesMax && oldest !== undefined) kept.delete(oldest);
}

function outlineOf(kind: BundleName["kind"], content: Uint8Array): Outline | undefined {
  const read = kind === "layer" ? parseLayerRelease(content) : parseBundle(content);
  if (!read.ok) return undefined;
  const { name, version, requires } = read.value;
  const layers = "layers" in read.value ? read.value.layers.map((layer) => ({ ...layer, files: [] })) : [];
  return { name, version, layers, ...(requires === undefined ? {} : { requires }) };
}
