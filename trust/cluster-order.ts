import { readLayerRef, readTarget, type AssignmentContext } from "./assignment.ts";
import type { TargetRef } from "./bundle-types.ts";
import { accept, quote, refuse, type Checked } from "./checked.ts";
import { signEnvelope, verifyEnvelope, type Envelope } from "./envelope.ts";
import { canonicalJson, isObject, readJson, unknownKeys, type Json } from "./json.ts";
import type { Signer } from "./keys.ts";
import type { LayerRef } from "./layer-release.ts";
import { isIdentifier, isName } from "./names.ts";
import { formatTime, parseTime } from "./time.ts";
import { viewTrusted, type Trusted } from "./trusted.ts";

/** What can be tried: a rules bundle, or a release of a layer that a team owns, on the rules that run. */
export type CandidateRef = TargetRef | (LayerRef & { readonly kind: "layer" });

/** What every order about a candidate says: to whom, about what, and while it holds. */
export interface ClusterOrder {
  readonly org: string;
  readonly clusterId: string;
  readonly target: CandidateRef;
  /** Whole seconds. */
  readonly notBefore: Date;
  readonly expires: Date;
}

/** One kind of order: its type, its word, and how it is read. */
export interface OrderKind<T extends ClusterOrder> {
  readonly type: string;
  readonly what: string;
  readonly idOf: (order: T) => string;
  readonly read: (payload: Uint8Array) => Checked<T>;
}

/** Signs what every order says, and beside it what only this kind does. */
export function signOrder<T extends ClusterOrder>(
  { type }: OrderKind<T>,
  { org, clusterId, target, notBefore, expires }: ClusterOrder,
  own: Readonly<Record<string, string>>,
  signer: Signer,
): Promise<Envelope> {
  const { kind, path, length, sha256 } = target;
  const times = { notBefore: formatTime(notBefore), expires: formatTime(expires) };
  const said = { org, clusterId, target: { kind, path, length, sha256 }, ...times, ...own };
  return signEnvelope(type, Buffer.from(canonicalJson(said)), [signer]);
}

/** Who an agent is, and its clock. */
export type OrderContext = Omit<AssignmentContext, "generationFloor">;

/**
 * Verifies that the assignment role signed this for this cluster, for now. That the target is released is for
 * `checkTarget` and `checkLayerTarget`. An order that comes again orders the same until it expires.
 */
export function verifyOrder<T extends ClusterOrder>(
  trusted: Trusted,
  envelope: Envelope,
  context: OrderContext,
  kind: OrderKind<T>,
): Checked<T> {
  const view = viewTrusted(trusted);
  if (!view.ok) return view;
  const { root } = view.value;
  if (root.assignment === undefined) {
    return refuse("trust/unknown-key", `root ${root.version} gives no key the right to assign`);
  }
  const payload = verifyEnvelope(envelope, kind.type, root.assignment);
  if (!payload.ok) return payload;
  const order = kind.read(payload.value);
  if (!order.ok) return order;
  const { org, clusterId, notBefore, expires } = order.value;
  const what = `${kind.what} ${quote(kind.idOf(order.value))}`;
  if (org !== context.org || org !== root.org) {
    return refuse("trust/wrong-org", `${what} is for org ${quote(org)}; this is ${quote(context.org)}`);
  }
  if (clusterId !== context.clusterId) {
    const own = quote(context.clusterId);
    return refuse(
      "trust/wrong-cluster",
      `${what} is for cluster ${quote(clusterId)}; this is cluster ${own}`,
    );
  }
  const now = formatTime(context.now);
  if (context.now.getTime() >= expires.getTime()) {
    return refuse("trust/expired", `${what} was over at ${formatTime(expires)}, now is ${now}`);
  }
  if (context.now.getTime() < notBefore.getTime()) {
    const from = formatTime(notBefore);
    return refuse("trust/not-yet-valid", `${what} begins at ${from}, now is ${now}: check the clock`);
  }
  return order;
}

/** The parts of an order that every kind has, and its other fields as they were written. */
export function readOrder<Id extends string>(
  payload: Uint8Array,
  what: string,
  id: Id,
  more: readonly string[],
): Checked<ClusterOrder & Record<Id, string> & { readonly rest: Readonly<Record<string, unknown>> }> {
  const json = readJson(payload, { what, bytesMax: 8 * 1024, depthMax: 3 });
  if (!json.ok) return json;
  const { value } = json;
  const malformed = (why: string) => refuse("trust/malformed", `${what} ${why}`);
  if (!isObject(value)) return malformed("is not an object");
  const known = ["org", "clusterId", id, "target", "notBefore", "expires", ...more];
  const [unknown] = unknownKeys(value, known);
  if (unknown !== undefined) return malformed(`has an unknown field ${quote(unknown)}`);
  const { org, clusterId, [id]: name } = value;
  if (!isName(org) || !isIdentifier(clusterId) || !isIdentifier(name)) {
    return malformed(`has no org, clusterId and ${id}`);
  }
  const notBefore = parseTime(value["notBefore"]);
  const expires = parseTime(value["expires"]);
  if (notBefore === undefined || expires === undefined) return malformed("has no notBefore and expires");
  const target = readCandidate(value["target"]);
  if (target === undefined) return malformed("has no target of kind rules or layer");
  const named = { [id]: name } as Record<Id, string>;
  return accept({ org, clusterId, target, notBefore, expires, ...named, rest: value });
}

function readCandidate(json: Json | undefined): CandidateRef | undefined {
  if (isObject(json) && json["kind"] === "layer") {
    const { kind, ...part } = json;
    const layer = readLayerRef(part);
    return layer && { kind, ...layer };
  }
  const target = readTarget(json);
  return target?.kind === "rules" ? target : undefined;
}
