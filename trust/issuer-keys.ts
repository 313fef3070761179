import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { accept, quote, reasonOf, refuse, type Checked } from "./checked.ts";
import { canonicalJson, isObject, readJson, type Json } from "./json.ts";

/** How a key of a cluster's issuer signs. Bound to the key, so that a token cannot choose. */
export type IssuerAlgorithm = "RS256" | "ES256" | "ES384" | "ES512";

/** One public key by which a kube-apiserver signs service-account tokens, as a JSON Web Key (RFC 7517). */
export interface IssuerKey {
  readonly kid: string;
  readonly alg: IssuerAlgorithm;
  readonly kty: "RSA" | "EC";
  /** RSA; base64url as in the key set. */
  readonly n?: string;
  readonly e?: string;
  /** Elliptic curves. */
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
}

/** The keys of an issuer. */
export interface IssuerKeys {
  readonly keys: readonly IssuerKey[];
  /** "sha256:" and hex; the same for the same keys in any order. */
  readonly digest: string;
}

/** The longest key set that is read, in bytes. Kubernetes has one key, or two while they are replaced. */
export const issuerKeysBytesMax = 64 * 1024;
const keysMax = 16;
const modulusBits = { min: 2048, max: 8192 };
const kidPattern = /^[\x21-\x7e]{1,256}$/;
/** What Kubernetes signs with: RS256 by RSA keys, and by each curve its own. */
const byCurve: Readonly<Record<string, IssuerAlgorithm>> = {
  "P-256": "ES256",
  "P-384": "ES384",
  "P-521": "ES512",
};

/**
 * Reads the key set of a cluster's issuer. Takes public keys alone: a key set with a private or a symmetric one is
 * refused whole, because whoever has it could make tokens.
 */
export function readIssuerKeys(text: string): Checked<IssuerKeys> {
  const json = readJson(Buffer.from(text), { what: "key set", bytesMax: issuerKeysBytesMax, depthMax: 6 });
  if (!json.ok) return json;
  const entries = isObject(json.value) ? json.value["keys"] : undefined;
  if (!Array.isArray(entries)) return wrong('has no list "keys": it is no JSON Web Key Set');
  if (entries.length === 0) return wrong("holds no key");
  if (entries.length > keysMax) return wrong(`holds ${entries.length} keys, at most ${keysMax} are read`);
  const keys: IssuerKey[] = [];
  for (const [index, entry] of entries.entries()) {
    const key = readKey(entry, `key ${index + 1}`);
    if (!key.ok) return key;
    if (keys.some(({ kid }) => kid === key.value.kid)) return wrong(`holds ${quote(key.value.kid)} twice`);
    keys.push(key.value);
  }
  const sorted = keys.toSorted((a, b) => (a.kid < b.kid ? -1 : 1));
  const digest = createHash("sha256")
    .update(canonicalJson(sorted.map((key) => ({ ...key }))))
    .digest("hex");
  return accept({ keys: sorted, digest: `sha256:${digest}` });
}

/** The key as Node verifies by it. Throws for one that `readIssuerKeys` did not read. */
export function issuerKeyObject({ kid: _kid, alg: _alg, ...jwk }: IssuerKey): KeyObject {
  return createPublicKey({ format: "jwk", key: { ...jwk } });
}

function readKey(entry: Json, what: string): Checked<IssuerKey> {
  if (!isObject(entry)) return wrong(`${what} is no object`);
  const { kid, kty, use, alg } = entry;
  if (typeof kid !== "string" || !kidPattern.test(kid)) return wrong(`${what} has no id (kid)`);
  const named = `${what} (${quote(kid)})`;
  if (entry["d"] !== undefined || entry["k"] !== undefined || kty === "oct") {
    return wrong(`${named} is secret: give the public keys alone, and replace this one`);
  }
  if (use !== undefined && use !== "sig") return wrong(`${named} is not for signatures`);
  const members = membersOf(entry);
  if (members === undefined) return wrong(`${named} is neither an RSA key nor one of P-256, P-384 and P-521`);
  const key = { kid, ...members };
  if (alg !== undefined && alg !== key.alg) {
    return wrong(`${named} is for another algorithm than ${key.alg}, which Kubernetes uses with such keys`);
  }
  try {
    const { modulusLength: bits = 0, publicExponent = 0n } = issuerKeyObject(key).asymmetricKeyDetails ?? {};
    if (key.kty === "RSA" && (bits < modulusBits.min || bits > modulusBits.max)) {
      return wrong(`${named} has ${bits} bits, ${modulusBits.min} to ${modulusBits.max} are taken`);
    }
    // By an exponent of 1 everybody signs.
    if (key.kty === "RSA" && publicExponent < 65_537n) {
      return wrong(`${named} has the exponent ${publicExponent}`);
    }
  } catch (error) {
    return wrong(`${named} is no key: ${reasonOf(error)}`);
  }
  return accept(key);
}

/** The public members, and nothing that stands beside them. */
function membersOf({
  kty,
  n,
  e,
  crv,
  x,
  y,
}: {
  readonly [name: string]: Json;
}): Omit<IssuerKey, "kid"> | undefined {
  if (kty === "RSA" && typeof n === "string" && typeof e === "string") return { alg: "RS256", kty, n, e };
  if (kty !== "EC" || typeof crv !== "string" || typeof x !== "string" || typeof y !== "string") {
    return undefined;
  }
  const alg = byCurve[crv];
  return alg === undefined ? undefined : { alg, kty, crv, x, y };
}

function wrong(why: string) {
  return refuse("trust/malformed", `The issuer's key set ${why}`);
}
