import { bundleBytesMax, bundleKinds, type Bundle, type TargetRef } from "./bundle-types.ts";
import { bundleDigest, parseBundle, targetPath } from "./bundle.ts";
import { accept, quote, refuse, type Checked } from "./checked.ts";
import { signEnvelope, verifyEnvelope, type Envelope } from "./envelope.ts";
import { canonicalJson, isList, isObject, isWholeNumber, readJson, unknownKeys, type Json } from "./json.ts";
import type { Signer } from "./keys.ts";
import type { Document } from "./metadata.ts";
import { layersHeldMax } from "./held-layers.ts";
import { layerBytesMax, layerOfPath, type LayerRef } from "./layer-release.ts";
import { checkListed } from "./listed.ts";
import { isIdentifier, isName, isSha256 } from "./names.ts";
import { readTargets, type TargetsView } from "./targets.ts";
import { formatTime, parseTime } from "./time.ts";
import { viewTrusted, type Trusted } from "./trusted.ts";
import { checkChain } from "./update.ts";

export const assignmentType = "application/vnd.falconry.assignment+json";

/** What the server wants one cluster to run. It can only name bundles that targets metadata lists. */
export interface Assignment {
  readonly org: string;
  readonly clusterId: string;
  /** Grows with every change; a safe integer. */
  readonly generation: number;
  /** At most one per kind. */
  readonly targets: readonly TargetRef[];
  /** Releases of layers that teams own, to run with the rules: at most one per layer. Absent when there are none. */
  readonly layers?: readonly LayerRef[];
  /** Whole seconds. */
  readonly notBefore: Date;
  readonly expires: Date;
}

/** Whom an assignment has to be for. */
export interface AssignmentContext {
  readonly org: string;
  readonly clusterId: string;
  /** In addition to the floor that {@link Trusted} keeps. */
  readonly generationFloor?: number;
  readonly now: Date;
}

const fields = ["org", "clusterId", "generation", "targets", "layers", "notBefore", "expires"];
const layersMax = layersHeldMax;

/** Signs an assignment with the server's assignment key. */
export async function signAssignment(assignment: Assignment, signer: Signer): Promise<Envelope> {
  const { org, clusterId, generation, notBefore, expires } = assignment;
  const targets = assignment.targets.map(({ kind, path, length, sha256 }) => ({
    kind,
    path,
    length,
    sha256,
  }));
  const times = { notBefore: formatTime(notBefore), expires: formatTime(expires) };
  const layers = (assignment.layers ?? []).map(({ path, length, sha256 }) => ({ path, length, sha256 }));
  // Agents that know of no layers refuse the field: where there are none, it is not there.
  const owned = layers.length === 0 ? {} : { layers };
  const payload = Buffer.from(canonicalJson({ org, clusterId, generation, targets, ...owned, ...times }));
  return signEnvelope(assignmentType, payload, [signer]);
}

/**
 * Verifies that the assignment role signed this for this cluster, for now, and not an older one than was seen. That the
 * targets are released is for {@link checkTarget}. Raise the floor with `raiseGeneration` when it is accepted.
 */
export function verifyAssignment(
  trusted: Trusted,
  envelope: Envelope,
  context: AssignmentContext,
): Checked<Assignment> {
  const view = viewTrusted(trusted);
  if (!view.ok) return view;
  const { root } = view.value;
  if (root.assignment === undefined) {
    return refuse("trust/unknown-key", `root ${root.version} gives no key the right to assign`);
  }
  const payload = verifyEnvelope(envelope, assignmentType, root.assignment);
  if (!payload.ok) return payload;
  const assignment = readAssignment(payload.value);
  if (!assignment.ok) return assignment;
  const { org, clusterId, generation, notBefore, expires } = assignment.value;
  const what = `assignment ${generation}`;
  if (org !== context.org || org !== root.org) {
    return refuse(
      "trust/wrong-org",
      `${what} is for org ${quote(org)}; this agent belongs to ${quote(context.org)}`,
    );
  }
  if (clusterId !== context.clusterId) {
    const own = quote(context.clusterId);
    return refuse(
      "trust/wrong-cluster",
      `${what} is for cluster ${quote(clusterId)}; this is cluster ${own}`,
    );
  }
  const floor = Math.max(trusted.generationFloor, context.generationFloor ?? 0);
  if (generation < floor) {
    return refuse(
      "trust/stale-generation",
      `${what} is older than generation ${floor}, which was seen before`,
    );
  }
  const now = context.now.getTime();
  if (now >= expires.getTime()) {
    return refuse(
      "trust/expired",
      `${what} expired at ${formatTime(expires)}, now is ${formatTime(context.now)}`,
    );
  }
  if (now < notBefore.getTime()) {
    const from = formatTime(notBefore);
    return refuse(
      "trust/not-yet-valid",
      `${what} holds from ${from}, now is ${formatTime(context.now)}: check the clock`,
    );
  }
  return assignment;
}

function readAssignment(payload: Uint8Array): Checked<Assignment> {
  const json = readJson(payload, { what: "assignment", bytesMax: 64 * 1024, depthMax: 4 });
  if (!json.ok) return json;
  const value: Json = json.value;
  const malformed = (why: string) => refuse("trust/malformed", `assignment ${why}`);
  if (!isObject(value)) return malformed("is not an object");
  const [unknown] = unknownKeys(value, fields);
  if (unknown !== undefined) return malformed(`has an unknown field ${quote(unknown)}`);
  const { org, clusterId, generation } = value;
  if (!isName(org) || !isIdentifier(clusterId)) return malformed("has no org and clusterId");
  if (!isWholeNumber(generation, 1)) return malformed("has no generation from 1");
  const notBefore = parseTime(value["notBefore"]);
  const expires = parseTime(value["expires"]);
  if (notBefore === undefined || expires === undefined) return malformed("has no notBefore and expires");
  if (!isList(value["targets"])) return malformed("has no list of targets");
  const targets: TargetRef[] = [];
  for (const json of value["targets"]) {
    const target = readTarget(json);
    if (target === undefined) return malformed("has a target without kind, path, length and sha256");
    targets.push(target);
  }
  if (new Set(targets.map(({ kind }) => kind)).size !== targets.length) {
    return malformed("has two targets of one kind");
  }
  const layers = readLayers(value["layers"]);
  if (typeof layers === "string") return malformed(layers);
  const owned = layers.length === 0 ? {} : { layers };
  return accept({ org, clusterId, generation, targets, ...owned, notBefore, expires });
}

/** The layers that an assignment names, or what is wrong with them. */
function readLayers(json: Json | undefined): readonly LayerRef[] | string {
  if (json === undefined) return [];
  if (!isList(json)) return "has no list of layers";
  if (json.length > layersMax) return `names ${json.length} layers; at most ${layersMax} are accepted`;
  const layers: LayerRef[] = [];
  for (const item of json) {
    const layer = readLayerRef(item);
    if (layer === undefined) return "has a layer without path, length and sha256";
    layers.push(layer);
  }
  const distinct = new Set(layers.map(({ path }) => layerOfPath(path))).size;
  return distinct === layers.length ? layers : "has two releases of one layer";
}

/** A release of a layer as signed documents name it; undefined for anything else. */
export function readLayerRef(json: Json | undefined): LayerRef | undefined {
  if (!isObject(json) || unknownKeys(json, ["path", "length", "sha256"]).length > 0) return undefined;
  const { path, length, sha256 } = json;
  if (typeof path !== "string" || layerOfPath(path) === undefined) return undefined;
  if (!isSha256(sha256) || !isWholeNumber(length, 1, layerBytesMax)) return undefined;
  return { path, length, sha256 };
}

/** A target as signed documents name it; undefined for anything else. */
export function readTarget(json: Json | undefined): TargetRef | undefined {
  if (!isObject(json) || unknownKeys(json, ["kind", "path", "length", "sha256"]).length > 0) return undefined;
  const { path, length, sha256 } = json;
  const kind = bundleKinds.find((known) => known === json["kind"]);
  if (kind === undefined || typeof path !== "string" || path.length > 200) return undefined;
  if (!isSha256(sha256) || !isWholeNumber(length, 1, bundleBytesMax)) return undefined;
  return { kind, path, length, sha256 };
}

/**
 * Accepts a target only when the whole chain of metadata is complete and fresh and targets lists it with the same kind,
 * length and hash. For what is to be started; what already runs goes on when metadata expires.
 */
export function checkTarget(trusted: Trusted, target: TargetRef, now: Date): Checked<TargetRef> {
  const view = viewTrusted(trusted);
  if (!view.ok) return view;
  const inForce = checkChain(view.value, now);
  if (!inForce.ok) return inForce;
  const targets = listedBy(inForce.value);
  if (!targets.ok) return targets;
  const by = `targets ${targets.value.version}`;
  const listed = targets.value.listed.get(target.path);
  if (listed !== undefined && listed.kind !== target.kind) {
    return refuse("trust/not-listed", `${by} lists ${target.path} as ${listed.kind}, not as ${target.kind}`);
  }
  return checkListed(listed, target, by);
}

/** The entries of targets metadata that was read before, read once for each. */
const lists = new WeakMap<Document<"targets">, Checked<TargetsView>>();

function listedBy(document: Document<"targets">): Checked<TargetsView> {
  const list = lists.get(document) ?? readTargets(document.bytes);
  lists.set(document, list);
  return list;
}

/** Accepts the bytes of a target only when they are exactly those that were released. */
export function checkTargetBytes(
  target: Pick<TargetRef, "path" | "length" | "sha256">,
  bytes: Uint8Array,
): Checked<Uint8Array> {
  if (bytes.length !== target.length) {
    return refuse(
      "trust/length-mismatch",
      `${target.path} has ${bytes.length} bytes; expected ${target.length}`,
    );
  }
  const digest = bundleDigest(bytes);
  if (digest === `sha256:${target.sha256}`) return accept(bytes);
  return refuse("trust/hash-mismatch", `${target.path} has ${digest}; expected sha256:${target.sha256}`);
}

/** Accepts the bytes of a target only when they are exactly those, and a bundle of this organisation under that path. */
export function checkBundle(target: TargetRef, bytes: Uint8Array, org: string): Checked<Bundle> {
  const intact = checkTargetBytes(target, bytes);
  if (!intact.ok) return intact;
  const bundle = parseBundle(bytes);
  return bundle.ok ? checkBundleFits(target, bundle.value, org) : bundle;
}

/** Accepts a bundle, whose bytes were checked, only as one of this organisation under the path that was signed for. */
export function checkBundleFits(
  target: Pick<TargetRef, "kind" | "path">,
  bundle: Bundle,
  org: string,
): Checked<Bundle> {
  if (bundle.org !== org) {
    const seen = quote(bundle.org);
    return refuse(
      "trust/wrong-org",
      `${target.path} is a bundle of org ${seen}; this agent belongs to ${quote(org)}`,
    );
  }
  if (targetPath(bundle) !== target.path || bundle.kind !== target.kind) {
    return refuse("trust/not-listed", `${target.path} holds the bundle of ${targetPath(bundle)}`);
  }
  return accept(bundle);
}
