import { accept, quote, refuse, type Checked } from "./checked.ts";
import { canonicalJson, isObject, isWholeNumber, readJson, unknownKeys, type Json } from "./json.ts";
import { lifeOf, type Life } from "./life.ts";
import {
  checkSignatures,
  metadataBytesMax,
  parseMetadata,
  sha256Hex,
  type Document,
  type RoleName,
} from "./metadata.ts";
import { layersHeldMax, type HeldLists } from "./held-layers.ts";
import { layerListBytesMax, readLayerList } from "./layer-list.ts";
import { readRoot, type RootView } from "./root.ts";

/**
 * Everything an agent holds to be true, as plain data: the metadata it verified, which are its version floors, and the
 * highest assignment generation it saw. One atomic write of {@link encodeTrusted} keeps all of it.
 */
export interface Trusted {
  /** Texts of the metadata, byte for byte. */
  readonly root: string;
  readonly timestamp?: string;
  readonly snapshot?: string;
  readonly targets?: string;
  /** Lists of layers that teams own, by the layer's name. */
  readonly layers?: HeldLists;
  /** No assignment with a lower generation is accepted. */
  readonly generationFloor: number;
}

/** The metadata of a {@link Trusted}, read. */
export interface TrustedView {
  readonly root: RootView;
  readonly timestamp?: Document<"timestamp">;
  readonly snapshot?: Document<"snapshot">;
  readonly targets?: Document<"targets">;
}

const format = 1;
// JSON may escape a character of metadata with six.
const encodedBytesMax = 12 * metadataBytesMax + 6 * layersHeldMax * layerListBytesMax;

/** The pin of a root: "sha256:" and the hash of its bytes. */
export function rootPin(root: Uint8Array): string {
  return `sha256:${sha256Hex(root)}`;
}

/**
 * Begins to trust a root. With `pin` (from the join string) only the root with that hash; the root must carry its own
 * signatures. It may have expired: newer roots of the chain can still follow.
 */
export function emptyTrusted(root: Uint8Array, pin?: string): Checked<Trusted> {
  if (pin !== undefined && rootPin(root) !== pin) {
    return refuse(
      "trust/wrong-pin",
      `root metadata has hash ${rootPin(root)}, the join string pins ${pin}: get a new join string from the fleet you mean to join`,
    );
  }
  const view = readRoot(root);
  if (!view.ok) return view;
  const signed = checkSignatures(view.value.document, view.value.roles.root);
  return signed.ok ? accept({ root: textOf(root), generationFloor: 0 }) : signed;
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Raises the floor after an assignment was accepted; it never falls. */
export function raiseGeneration(trusted: Trusted, generation: number): Trusted {
  if (generation <= trusted.generationFloor) return trusted;
  const raised = { ...trusted, generationFloor: generation };
  const view = views.get(trusted);
  if (view !== undefined) views.set(raised, view);
  return raised;
}

/** What was read of one {@link Trusted}. Nobody writes into one, so what it says never changes. */
const views = new WeakMap<Trusted, Checked<TrustedView>>();

/**
 * Reads the metadata, and checks its signatures, once for each object: whoever asks for it by the message would spend most of
 * its time on this. Only what the present root's keys signed is kept, so a rotation of keys clears the rest.
 */
export function viewTrusted(trusted: Trusted): Checked<TrustedView> {
  const known = views.get(trusted);
  if (known !== undefined) return known;
  const view = readTrusted(trusted);
  views.set(trusted, view);
  return view;
}

function readTrusted(trusted: Trusted): Checked<TrustedView> {
  const root = readRoot(Buffer.from(trusted.root));
  if (!root.ok) return root;
  const timestamp = held("timestamp", trusted, root.value);
  if (!timestamp.ok) return timestamp;
  const snapshot = held("snapshot", trusted, root.value);
  if (!snapshot.ok) return snapshot;
  const targets = held("targets", trusted, root.value);
  if (!targets.ok) return targets;
  return accept({ root: root.value, ...timestamp.value, ...snapshot.value, ...targets.value });
}

type Held<R extends RoleName> = { readonly [K in R]?: Document<R> };

function held<R extends "timestamp" | "snapshot" | "targets">(
  role: R,
  trusted: Trusted,
  root: RootView,
): Checked<Held<R>> {
  const text = trusted[role];
  if (text === undefined) return accept({});
  const document = parseMetadata(role, Buffer.from(text));
  if (!document.ok) return document;
  const signed = checkSignatures(document.value, root.roles[role]);
  const kept: { [K in R]?: Document<R> } = {};
  if (signed.ok) kept[role] = document.value;
  return accept(kept);
}

/** The versions an agent holds, for its report; 0 for none. */
export function trustedVersions(trusted: Trusted): Readonly<Record<RoleName, number>> {
  const view = viewTrusted(trusted);
  if (!view.ok) return { root: 0, targets: 0, snapshot: 0, timestamp: 0 };
  const { root, targets, snapshot, timestamp } = view.value;
  return {
    root: root.version,
    targets: targets?.version ?? 0,
    snapshot: snapshot?.version ?? 0,
    timestamp: timestamp?.version ?? 0,
  };
}

/** The versions of the lists of layers that an agent holds, for its report, by the layer's name. */
export function trustedLists({ layers = {} }: Trusted): Readonly<Record<string, number>> {
  const versions = Object.entries(layers).flatMap(([layer, text]) => {
    const list = readLayerList(Buffer.from(text), layer);
    return list.ok ? [[layer, list.value.version] as const] : [];
  });
  return Object.fromEntries(versions);
}

/** The life of each held role: what an agent's expiry alarm looks at. */
export function trustedLives(trusted: Trusted): Readonly<Partial<Record<RoleName, Life>>> {
  const view = viewTrusted(trusted);
  if (!view.ok) return {};
  const { root, ...others } = view.value;
  const entries = Object.values(others).map((document) => [document.role, lifeOf(document)] as const);
  return { root: lifeOf(root.document), ...Object.fromEntries(entries) };
}

/** Ids of the keys that sign assignments and lists of CAs. */
export function trustedAssigners(trusted: Trusted): readonly string[] {
  const root = readRoot(Buffer.from(trusted.root));
  return root.ok ? [...(root.value.assignment?.keys.keys() ?? [])] : [];
}

/** One text for one file. */
export function encodeTrusted(trusted: Trusted): string {
  return canonicalJson({ format, ...trusted });
}

/** Reads {@link encodeTrusted}'s text: bounded, and every signature is checked again. */
export function decodeTrusted(text: string): Checked<Trusted> {
  const what = "trust state";
  const json = readJson(Buffer.from(text), { what, bytesMax: encodedBytesMax, depthMax: 2 });
  if (!json.ok) return json;
  const value: Json = json.value;
  if (!isObject(value) || value["format"] !== format) {
    return refuse("trust/malformed", `${what} is not of format ${format}`);
  }
  const [unknown] = unknownKeys(value, [
    "format",
    "root",
    "timestamp",
    "snapshot",
    "targets",
    "layers",
    "generationFloor",
  ]);
  if (unknown !== undefined) {
    return refuse("trust/malformed", `${what} has an unknown field ${quote(unknown)}`);
  }
  const { root, generationFloor } = value;
  if (typeof root !== "string") return refuse("trust/malformed", `${what} has no root`);
  if (!isWholeNumber(generationFloor, 0)) return refuse("trust/malformed", `${what} has no generationFloor`);
  const begun = emptyTrusted(Buffer.from(root));
  if (!begun.ok) return begun;
  const texts: Record<string, string> = {};
  for (const role of ["timestamp", "snapshot", "targets"] as const) {
    const metadata = value[role];
    if (metadata === undefined) continue;
    if (typeof metadata !== "string") return refuse("trust/malformed", `${what}: ${role} is not text`);
    texts[role] = metadata;
  }
  const layers = readLists(value["layers"]);
  if (layers === undefined) return refuse("trust/malformed", `${what}: layers are not lists of layers`);
  const owned = Object.keys(layers).length === 0 ? {} : { layers };
  const trusted = { root, generationFloor, ...texts, ...owned };
  const view = viewTrusted(trusted);
  return view.ok ? accept(trusted) : view;
}

/** The lists of layers in a state; undefined when they cannot be such. Each is verified whenever it is asked for. */
function readLists(json: Json | undefined): HeldLists | undefined {
  if (json === undefined) return {};
  if (!isObject(json) || Object.keys(json).length > layersHeldMax) return undefined;
  const lists: [string, string][] = [];
  for (const [layer, text] of Object.entries(json)) {
    if (typeof text !== "string" || !readLayerList(Buffer.from(text), layer).ok) return undefined;
    lists.push([layer, text]);
  }
  return Object.fromEntries(lists);
}
