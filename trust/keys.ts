import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";

import { accept, quote, reasonOf, refuse, type Checked } from "./checked.ts";
import { memberOf, signedForm, type Json } from "./json.ts";
import { isSha256 } from "./names.ts";

/** A public key as TUF metadata holds it. The key says which algorithm it is for; a message never does. */
export interface PublicKey {
  /** SHA-256 of the key's canonical form, in hex. */
  readonly keyId: string;
  readonly keytype: string;
  readonly scheme: string;
  readonly keyval: { readonly public: string };
}

/** Whatever can sign: a key in memory, or one in a token or key service behind a promise. */
export interface Signer {
  readonly publicKey: PublicKey;
  sign(data: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** A signer whose private key is in this process. */
export interface SigningKey extends Signer {
  readonly privateKey: KeyObject;
}

const seedLength = 32;
// What precedes the 32 bytes of a seed in an Ed25519 key's PKCS #8 form.
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/** A new Ed25519 key. */
export function generateKey(): SigningKey {
  return signingKey(generateKeyPairSync("ed25519").privateKey);
}

/** The signer for an Ed25519 private key. */
export function signingKey(privateKey: KeyObject): SigningKey {
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  const publicKey = ed25519Key(Buffer.from(x, "base64url").toString("hex"));
  return { publicKey, privateKey, sign: (data) => sign(null, data, privateKey) };
}

/** The 32 secret bytes that make the key. */
export function seedOf(key: SigningKey): Uint8Array {
  return key.privateKey.export({ format: "der", type: "pkcs8" }).subarray(pkcs8Prefix.length);
}

/** The key that {@link seedOf} gave the bytes of. */
export function keyFromSeed(seed: Uint8Array): SigningKey {
  if (seed.length !== seedLength) throw new RangeError(`a seed has ${seedLength} bytes, not ${seed.length}`);
  const der = Buffer.concat([pkcs8Prefix, seed]);
  return signingKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
}

/** The public key that a server's answer or a person gave as 64 hex digits. */
export function publicKeyFromHex(hex: string): Checked<PublicKey> {
  if (!isSha256(hex)) {
    return refuse("trust/malformed", `public key ${quote(hex)} is not 64 lower-case hex digits (Ed25519)`);
  }
  return accept(ed25519Key(hex));
}

/**
 * The public key in a PEM text, as `openssl pkey -pubout` and key services give it: Ed25519, or ECDSA on P-256. The same
 * key gives the same id however the text was wrapped.
 */
export function publicKeyFromPem(pem: string): Checked<PublicKey> {
  const expected = "expected -----BEGIN PUBLIC KEY----- with an Ed25519 or a P-256 key";
  if (!/^\s*-----BEGIN PUBLIC KEY-----/.test(pem)) {
    return refuse("trust/malformed", `public key is not in PEM; ${expected}`);
  }
  try {
    const key = createPublicKey(pem);
    const { x = "", crv } = key.export({ format: "jwk" });
    if (crv === "Ed25519") return accept(ed25519Key(Buffer.from(x, "base64url").toString("hex")));
    if (crv === "P-256") {
      const value = key.export({ format: "pem", type: "spki" }).toString();
      const made = { keytype: "ecdsa", scheme: "ecdsa-sha2-nistp256", keyval: { public: value } };
      return accept({ keyId: keyIdOf(made), ...made });
    }
    return refuse(
      "trust/malformed",
      `public key is of type ${key.asymmetricKeyType ?? "unknown"}; ${expected}`,
    );
  } catch (error) {
    return refuse("trust/malformed", `public key cannot be read: ${reasonOf(error)}; ${expected}`);
  }
}

/** A public key in PEM, to hand over to others. */
export function publicKeyToPem(key: PublicKey): Checked<string> {
  const parsed = keyObject(key);
  return parsed.ok ? accept(parsed.value.key.export({ format: "pem", type: "spki" }).toString()) : parsed;
}

function ed25519Key(hex: string): PublicKey {
  const key = { keytype: "ed25519", scheme: "ed25519", keyval: { public: hex } };
  return { keyId: keyIdOf(key), ...key };
}

/** The key id that the TUF specification gives a key. */
export function keyIdOf(key: Omit<PublicKey, "keyId">): string {
  const { keytype, scheme, keyval } = key;
  return createHash("sha256").update(signedForm({ keytype, scheme, keyval })).digest("hex");
}

/** A key as it stands in the `keys` of root metadata. */
export function keyToJson({ keytype, scheme, keyval }: PublicKey): Json {
  return { keytype, scheme, keyval: { public: keyval.public } };
}

/** Reads a key from the `keys` of root metadata under its id. Undefined when it has not the form of a key. */
export function keyFromJson(keyId: string, json: Json | undefined): PublicKey | undefined {
  const keytype = memberOf(json, "keytype");
  const scheme = memberOf(json, "scheme");
  const value = memberOf(memberOf(json, "keyval"), "public");
  if (typeof keytype !== "string" || typeof scheme !== "string" || typeof value !== "string") {
    return undefined;
  }
  return { keyId, keytype, scheme, keyval: { public: value } };
}

/** True when `signature` is the key's over `data`. False as well for a key or signature that cannot be read. */
export function isSignedBy(key: PublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  const parsed = keyObject(key);
  if (!parsed.ok) return false;
  const { hash, key: usable } = parsed.value;
  try {
    return verify(hash, data, usable, signature);
  } catch {
    return false; // OpenSSL throws on some malformed signatures instead of saying no.
  }
}

interface Usable {
  readonly key: KeyObject;
  /** Null where the algorithm brings its own hash. */
  readonly hash: "sha256" | null;
  /** Its DER form in hex. */
  readonly material: string;
}

/** Keys that were made usable before: making one costs more than a signature. Nobody writes into a key. */
const usableKeys = new WeakMap<PublicKey, Checked<Usable>>();

/** The key in a form that can verify; refused when its type, scheme and value do not fit together. */
export function keyObject(key: PublicKey): Checked<Usable> {
  const known = usableKeys.get(key);
  if (known !== undefined) return known;
  const made = makeUsable(key);
  usableKeys.set(key, made);
  return made;
}

function makeUsable(key: PublicKey): Checked<Usable> {
  const { keytype, scheme } = key;
  const value = key.keyval.public;
  try {
    if (keytype === "ed25519" && scheme === "ed25519" && isSha256(value)) {
      const x = Buffer.from(value, "hex").toString("base64url");
      const jwk = { kty: "OKP", crv: "Ed25519", x };
      return usable(createPublicKey({ key: jwk, format: "jwk" }), null);
    }
    if ((keytype === "ecdsa" || keytype === scheme) && scheme === "ecdsa-sha2-nistp256") {
      const parsed = createPublicKey(value);
      if (parsed.asymmetricKeyDetails?.namedCurve === "prime256v1") {
        return usable(parsed, "sha256");
      }
    }
  } catch (error) {
    return refuse("trust/malformed", `key ${key.keyId} cannot be read: ${reasonOf(error)}`);
  }
  return refuse(
    "trust/malformed",
    `key ${key.keyId} is of type ${quote(keytype)}, scheme ${quote(scheme)}; expected ed25519 or ecdsa-sha2-nistp256`,
  );
}

function usable(key: KeyObject, hash: Usable["hash"]): Checked<Usable> {
  const material = key.export({ format: "der", type: "spki" }).toString("hex");
  return accept({ key, hash, material });
}

/** The same text for the same key, whatever its id or the way it is written. */
export function keyMaterial(key: PublicKey): string {
  const parsed = keyObject(key);
  return parsed.ok ? parsed.value.material : `unusable ${key.keyId}`;
}

/** The first 12 digits: enough to tell keys apart in a message. */
export function shortId(keyId: string): string {
  return keyId.slice(0, 12);
}
