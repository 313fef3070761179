import { X509Certificate as Certificate } from "node:crypto";

import { accept, quote, reasonOf, refuse, type Checked } from "./checked.ts";
import { signEnvelope, verifyEnvelope, type Envelope } from "./envelope.ts";
import { canonicalJson, isList, isObject, isWholeNumber, readJson, unknownKeys, type Json } from "./json.ts";
import type { Signer } from "./keys.ts";
import { isName } from "./names.ts";
import { formatTime, parseTime } from "./time.ts";
import { viewTrusted, type Trusted } from "./trusted.ts";

export const caBundleType = "application/vnd.falconry.ca-bundle+json";

/** The CAs whose certificates an agent takes from a server, all of them: what is not in it is trusted no more. */
export interface CaBundle {
  readonly org: string;
  /** Grows with every change; a safe integer from 1. */
  readonly version: number;
  /** DER. */
  readonly cas: readonly Uint8Array[];
  /** Whole seconds. */
  readonly expires: Date;
}

export interface CaBundleContext {
  readonly org: string;
  /** No lower version is accepted. */
  readonly versionFloor: number;
  readonly now: Date;
}

const casMax = 4;
const fields = ["org", "version", "cas", "expires"];

/** Signs a bundle with the server's assignment key. Its own type keeps the signature from holding for an assignment. */
export async function signCaBundle(
  { org, version, cas, expires }: CaBundle,
  signer: Signer,
): Promise<Envelope> {
  const ders = cas.map((ca) => Buffer.from(ca).toString("base64"));
  const payload = Buffer.from(canonicalJson({ org, version, cas: ders, expires: formatTime(expires) }));
  return signEnvelope(caBundleType, payload, [signer]);
}

/**
 * Verifies that the assignment role of the trusted root signed these CAs, for this organisation and for now, and not an
 * older list than was seen. So whoever holds the key of a CA, or stands in the middle, cannot add another one.
 */
export function verifyCaBundle(
  trusted: Trusted,
  envelope: Envelope,
  context: CaBundleContext,
): Checked<CaBundle> {
  const view = viewTrusted(trusted);
  if (!view.ok) return view;
  const { root } = view.value;
  if (root.assignment === undefined) {
    return refuse("trust/unknown-key", `root ${root.version} gives no key the right to name CAs`);
  }
  const payload = verifyEnvelope(envelope, caBundleType, root.assignment);
  if (!payload.ok) return payload;
  const bundle = readCaBundle(payload.value);
  if (!bundle.ok) return bundle;
  const { org, version, cas, expires } = bundle.value;
  const what = `CA bundle ${version}`;
  if (org !== context.org || org !== root.org) {
    const own = quote(context.org);
    return refuse("trust/wrong-org", `${what} is for org ${quote(org)}; this agent belongs to ${own}`);
  }
  if (version < context.versionFloor) {
    const floor = `version ${context.versionFloor}, which was seen before`;
    return refuse("trust/stale-generation", `${what} is older than ${floor}`);
  }
  if (context.now.getTime() >= expires.getTime()) {
    const now = formatTime(context.now);
    return refuse("trust/expired", `${what} expired at ${formatTime(expires)}, now is ${now}`);
  }
  return areCas(cas) ? bundle : refuse("trust/malformed", `${what} holds a certificate that is no CA`);
}

function areCas(cas: readonly Uint8Array[]): boolean {
  return cas.every((der) => {
    const ca = new Certificate(der);
    return ca.ca && ca.checkIssued(ca) && ca.verify(ca.publicKey);
  });
}

function readCaBundle(payload: Uint8Array): Checked<CaBundle> {
  const json = readJson(payload, { what: "CA bundle", bytesMax: 32 * 1024, depthMax: 2 });
  if (!json.ok) return json;
  const value: Json = json.value;
  const malformed = (why: string) => refuse("trust/malformed", `CA bundle ${why}`);
  if (!isObject(value)) return malformed("is not an object");
  const [unknown] = unknownKeys(value, fields);
  if (unknown !== undefined) return malformed(`has an unknown field ${quote(unknown)}`);
  const { org, version, cas } = value;
  if (!isName(org)) return malformed("has no org");
  if (!isWholeNumber(version, 1)) return malformed("has no version from 1");
  const expires = parseTime(value["expires"]);
  if (expires === undefined) return malformed("has no expires");
  if (!isList(cas) || cas.length === 0 || cas.length > casMax) {
    return malformed(`does not hold 1 to ${casMax} CAs`);
  }
  const ders: Uint8Array[] = [];
  for (const ca of cas) {
    if (typeof ca !== "string") return malformed("holds a CA that is no text");
    try {
      ders.push(new Uint8Array(new Certificate(Buffer.from(ca, "base64")).raw));
    } catch (error) {
      return malformed(`holds a CA that cannot be read: ${reasonOf(error)}`);
    }
  }
  return accept({ org, version, cas: ders, expires });
}
