import { readTarget, type AssignmentContext } from "./assignment.ts";
import type { TargetRef } from "./bundle-types.ts";
import { accept, quote, refuse, type Checked } from "./checked.ts";
import { signEnvelope, verifyEnvelope, type Envelope } from "./envelope.ts";
import { canonicalJson, isObject, readJson, unknownKeys } from "./json.ts";
import type { Signer } from "./keys.ts";
import { isIdentifier, isName } from "./names.ts";
import { formatTime, parseTime } from "./time.ts";
import { viewTrusted, type Trusted } from "./trusted.ts";

export const shadowType = "application/vnd.falconry.shadow+json";

/**
 * A candidate that one cluster is to evaluate beside what it runs. Signed by the same role as assignments, which only
 * chooses among released bundles: so whoever can order a shadow could have ordered the bundle itself.
 */
export interface ShadowOrder {
  readonly org: string;
  readonly clusterId: string;
  /** Names the shadow. */
  readonly rolloutId: string;
  readonly target: TargetRef;
  /** Whole seconds. */
  readonly notBefore: Date;
  /** When the shadow is over. */
  readonly expires: Date;
}

const fields = ["org", "clusterId", "rolloutId", "target", "notBefore", "expires"];

export function signShadow(order: ShadowOrder, signer: Signer): Promise<Envelope> {
  const { org, clusterId, rolloutId, notBefore, expires } = order;
  const { kind, path, length, sha256 } = order.target;
  const target = { kind, path, length, sha256 };
  const times = { notBefore: formatTime(notBefore), expires: formatTime(expires) };
  const payload = Buffer.from(canonicalJson({ org, clusterId, rolloutId, target, ...times }));
  return signEnvelope(shadowType, payload, [signer]);
}

/**
 * Verifies that the assignment role signed this for this cluster, for now. That the target is released is for
 * `checkTarget`. An order that comes again orders the same until it expires.
 */
export function verifyShadow(
  trusted: Trusted,
  envelope: Envelope,
  context: Omit<AssignmentContext, "generationFloor">,
): Checked<ShadowOrder> {
  const view = viewTrusted(trusted);
  if (!view.ok) return view;
  const { root } = view.value;
  if (root.assignment === undefined) {
    return refuse("trust/unknown-key", `root ${root.version} gives no key the right to assign`);
  }
  const payload = verifyEnvelope(envelope, shadowType, root.assignment);
  if (!payload.ok) return payload;
  const order = readOrder(payload.value);
  if (!order.ok) return order;
  const { org, clusterId, rolloutId, notBefore, expires } = order.value;
  const what = `shadow ${quote(rolloutId)}`;
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

function readOrder(payload: Uint8Array): Checked<ShadowOrder> {
  const json = readJson(payload, { what: "shadow", bytesMax: 8 * 1024, depthMax: 3 });
  if (!json.ok) return json;
  const { value } = json;
  const malformed = (why: string) => refuse("trust/malformed", `shadow ${why}`);
  if (!isObject(value)) return malformed("is not an object");
  const [unknown] = unknownKeys(value, fields);
  if (unknown !== undefined) return malformed(`has an unknown field ${quote(unknown)}`);
  const { org, clusterId, rolloutId } = value;
  if (!isName(org) || !isIdentifier(clusterId) || !isIdentifier(rolloutId)) {
    return malformed("has no org, clusterId and rolloutId");
  }
  const notBefore = parseTime(value["notBefore"]);
  const expires = parseTime(value["expires"]);
  if (notBefore === undefined || expires === undefined) return malformed("has no notBefore and expires");
  const target = readTarget(value["target"]);
  if (target?.kind !== "rules") return malformed("has no target of kind rules");
  return accept({ org, clusterId, rolloutId, target, notBefore, expires });
}
