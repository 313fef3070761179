import { accept, refuse, type Checked, type Refusal, type Refused } from "./checked.ts";
import { checkExpiry, checkSignatures, parseMetadata, type Document } from "./metadata.ts";
import { takeLists } from "./held-layers.ts";
import { canonicalJson } from "./json.ts";
import { checkBytes, checkPin } from "./pins.ts";
import { followRoot, readRoot, type RootView } from "./root.ts";
import { textOf, viewTrusted, type Trusted, type TrustedView } from "./trusted.ts";

/** New metadata, each as published; what is absent did not change. Roots in ascending order. */
export interface MetadataUpdate {
  readonly roots?: readonly Uint8Array[];
  readonly timestamp?: Uint8Array;
  readonly snapshot?: Uint8Array;
  readonly targets?: Uint8Array;
  /** Lists of layers that teams own, by the layer's name. */
  readonly layers?: ReadonlyMap<string, Uint8Array>;
}

/**
 * `value` is what to keep from now on, also after a refusal: what was verified before the refused part counts, so that
 * an attacker cannot undo a root rotation by spoiling what comes after it.
 */
export type TrustUpdate =
  | { readonly ok: true; readonly value: Trusted }
  | { readonly ok: false; readonly value: Trusted; readonly refusal: Refusal };

const rootsMax = 256;

/**
 * The client workflow of TUF over metadata that someone else fetched: the root chain, then timestamp, snapshot and
 * targets, each signed, never older than what is held, pinned by the one before, and fresh at `now`.
 */
export function updateTrusted(trusted: Trusted, update: MetadataUpdate, now: Date): TrustUpdate {
  const rooted = updateRoot(trusted, update.roots ?? [], now);
  let value = rooted.value;
  if (!rooted.ok) return rooted;
  for (const step of [stepTimestamp, stepSnapshot, stepTargets]) {
    const view = viewTrusted(value);
    if (!view.ok) return { ok: false, value, refusal: view.refusal };
    const next = step(view.value, update, now);
    if (!next.ok) return { ok: false, value, refusal: next.refusal };
    value = holding(value, view.value, next.value);
  }
  return updateLayers(value, update.layers ?? new Map());
}

/** Lists that teams sign come last: whatever is wrong with them, everything above is taken. */
function updateLayers(trusted: Trusted, offered: ReadonlyMap<string, Uint8Array>): TrustUpdate {
  const view = viewTrusted(trusted);
  if (!view.ok) return { ok: false, value: trusted, refusal: view.refusal };
  const { targets, snapshot } = view.value;
  if (targets === undefined || snapshot === undefined) return { ok: true, value: trusted };
  const { layers, ...others } = trusted;
  const { lists, refusal } = takeLists(layers ?? {}, offered, targets, snapshot);
  const isSame = canonicalJson(lists) === canonicalJson(layers ?? {});
  const kept = Object.keys(lists).length === 0 ? others : { ...others, layers: lists };
  const value = isSame ? trusted : kept;
  return refusal === undefined ? { ok: true, value } : { ok: false, value, refusal };
}

/** The same object when nothing is new: then nothing is written. */
function holding(trusted: Trusted, view: TrustedView, inForce: Online | undefined): Trusted {
  if (inForce === undefined || inForce === view[inForce.role]) return trusted;
  return { ...trusted, [inForce.role]: textOf(inForce.bytes) };
}

function updateRoot(trusted: Trusted, roots: readonly Uint8Array[], now: Date): TrustUpdate {
  let value = trusted;
  const fail = (refused: Refused): TrustUpdate => ({ ok: false, value, refusal: refused.refusal });
  if (roots.length > rootsMax) {
    return fail(refuse("trust/too-large", `${roots.length} roots at once; at most ${rootsMax} are accepted`));
  }
  const first = readRoot(Buffer.from(trusted.root));
  if (!first.ok) return fail(first);
  let current = first.value;
  for (const bytes of roots) {
    const next = readRoot(bytes);
    if (!next.ok) return fail(next);
    // Sent again, as after a reconnect: there is nothing to learn from it, and nothing is taken from it.
    if (next.value.version < current.version || current.document.bytes.equals(bytes)) continue;
    const followed = followRoot(current, next.value);
    if (!followed.ok) return fail(followed);
    value = rotate(value, current, next.value);
    current = next.value;
  }
  const fresh = checkExpiry(current.document, now);
  return fresh.ok ? { ok: true, value } : fail(fresh);
}

/**
 * Takes a root. Metadata that its keys no longer sign is forgotten, and with it the version floor: that is how a fleet
 * recovers when a stolen key raised a version as far as it goes. The same holds for the assignment key.
 */
function rotate(trusted: Trusted, before: RootView, after: RootView): Trusted {
  const rotated = { ...trusted, root: textOf(after.document.bytes) };
  const view = viewTrusted(rotated);
  const kept = (role: "timestamp" | "snapshot" | "targets"): object =>
    view.ok && view.value[role] !== undefined ? { [role]: trusted[role] } : {};
  const sameAssigner = [...(before.assignment?.keys.keys() ?? [])].some((id) =>
    after.assignment?.keys.has(id),
  );
  // A snapshot is reached through the timestamp, so both floors fall when either key changes.
  const online = (["timestamp", "snapshot"] as const).every(
    (role) => trusted[role] === undefined || (view.ok && view.value[role] !== undefined),
  );
  return {
    root: rotated.root,
    ...(online ? { ...kept("timestamp"), ...kept("snapshot") } : {}),
    ...kept("targets"),
    // Each is verified anew, by the delegation in force, whenever it is asked for.
    ...(trusted.layers === undefined ? {} : { layers: trusted.layers }),
    generationFloor: sameAssigner ? trusted.generationFloor : 0,
  };
}

type Online = Document<"timestamp"> | Document<"snapshot"> | Document<"targets">;

/** Each step gives what is in force after it: what is held, or what the update brought. */
function stepTimestamp(
  view: TrustedView,
  update: MetadataUpdate,
  now: Date,
): Checked<Document<"timestamp"> | undefined> {
  const { timestamp: held } = view;
  if (update.timestamp === undefined) return accept(held); // Whether one is held is for the next step.
  const next = verified("timestamp", update.timestamp, view.root);
  if (!next.ok) return next;
  if (held !== undefined) {
    if (next.value.version < held.version) return rollback("timestamp", next.value.version, held.version);
    const pinned = next.value.model.snapshotMeta.version;
    const floor = held.model.snapshotMeta.version;
    const by = `timestamp ${next.value.version}`;
    if (pinned < floor) return rollback(`snapshot, which ${by} pins,`, pinned, floor);
    if (next.value.version === held.version) return accept(held);
  }
  return checkExpiry(next.value, now);
}

function stepSnapshot(view: TrustedView, update: MetadataUpdate, now: Date): Checked<Document<"snapshot">> {
  const { timestamp, snapshot: held } = view;
  if (timestamp === undefined) return missing("timestamp", "nothing is held yet");
  const fresh = checkExpiry(timestamp, now);
  if (!fresh.ok) return fresh;
  const pin = timestamp.model.snapshotMeta;
  const by = `timestamp ${timestamp.version}`;
  if (held !== undefined && checkPin(held.role, held, pin, by).ok) return checkExpiry(held, now);
  if (update.snapshot === undefined) return missing("snapshot", `${by} pins snapshot ${pin.version}`);
  const intact = checkBytes("snapshot", update.snapshot, pin, by);
  if (!intact.ok) return intact;
  const next = verified("snapshot", update.snapshot, view.root);
  if (!next.ok) return next;
  const pinned = checkPin(next.value.role, next.value, pin, by);
  if (!pinned.ok) return pinned;
  for (const [file, { version: floor }] of Object.entries(held?.model.meta ?? {})) {
    const version = next.value.model.meta[file]?.version ?? 0;
    const by = `snapshot ${next.value.version}`;
    if (version < floor) return rollback(`${file}, which ${by} pins,`, version, floor);
  }
  return checkExpiry(next.value, now);
}

function stepTargets(view: TrustedView, update: MetadataUpdate, now: Date): Checked<Document<"targets">> {
  const { snapshot, targets: held } = view;
  const pin = snapshot?.model.meta["targets.json"];
  const by = `snapshot ${snapshot?.version ?? 0}`; // The step before does not pass without one.
  if (pin === undefined) return refuse("trust/incomplete", `${by} does not pin targets.json`);
  if (held !== undefined && checkPin(held.role, held, pin, by).ok) return checkExpiry(held, now);
  if (update.targets === undefined) return missing("targets", `${by} pins targets ${pin.version}`);
  const intact = checkBytes("targets", update.targets, pin, by);
  if (!intact.ok) return intact;
  const next = verified("targets", update.targets, view.root);
  if (!next.ok) return next;
  const pinned = checkPin(next.value.role, next.value, pin, by);
  if (!pinned.ok) return pinned;
  return checkExpiry(next.value, now);
}

function verified<R extends "timestamp" | "snapshot" | "targets">(
  role: R,
  bytes: Uint8Array,
  root: RootView,
): Checked<Document<R>> {
  const document = parseMetadata(role, bytes);
  return document.ok ? checkSignatures(document.value, root.roles[role]) : document;
}

/** The targets that are in force: a complete, consistent and fresh chain from root down, or the reason why not. */
export function checkChain(view: TrustedView, now: Date): Checked<Document<"targets">> {
  const root = checkExpiry(view.root.document, now);
  if (!root.ok) return root;
  const snapshot = stepSnapshot(view, {}, now);
  return snapshot.ok ? stepTargets(view, {}, now) : snapshot;
}

function missing(role: string, why: string): Refused {
  return refuse("trust/incomplete", `${role} metadata is missing: ${why}; the server has to send it`);
}

function rollback(what: string, seen: number, floor: number): Refused {
  return refuse("trust/rollback", `${what} goes back to version ${seen}; version ${floor} was seen before`);
}
