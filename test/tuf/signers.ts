import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";

/** A key as TUF metadata holds it. */
export interface KeyJson {
  keytype: string;
  scheme: string;
  keyval: { public: string };
  [field: string]: unknown;
}

/** Whoever holds a private key: made without `trust`, so that a mistake there does not cancel itself out. */
export interface TestSigner {
  readonly keyid: string;
  readonly key: KeyJson;
  sign(data: Uint8Array): string;
}

export type KeyKind = "ed25519" | "ecdsa" | "rsa";

/** `extra` goes into the key, and so into its id. */
export function newSigner(kind: KeyKind = "ed25519", extra: object = {}): TestSigner {
  const { publicKey, privateKey } = pairs[kind]();
  const key = { ...keyJson(kind, publicKey), ...extra };
  const keyid = createHash("sha256").update(canonical(key)).digest("hex");
  return {
    keyid,
    key,
    sign: (data) => signatures[kind](privateKey, data).toString("hex"),
  };
}

const pairs = {
  ed25519: () => generateKeyPairSync("ed25519"),
  ecdsa: () => generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
  rsa: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
} satisfies Record<KeyKind, () => { publicKey: KeyObject; privateKey: KeyObject }>;

const signatures = {
  ed25519: (key, data) => sign(null, data, key),
  ecdsa: (key, data) => sign("sha256", data, key),
  rsa: (key, data) => sign("sha256", data, { key, padding: 6, saltLength: 32 }),
} satisfies Record<KeyKind, (key: KeyObject, data: Uint8Array) => Buffer>;

function keyJson(kind: KeyKind, key: KeyObject): KeyJson {
  if (kind === "ed25519") {
    const x = Buffer.from(String(key.export({ format: "jwk" }).x), "base64url").toString("hex");
    return { keytype: "ed25519", scheme: "ed25519", keyval: { public: x } };
  }
  const scheme = kind === "ecdsa" ? "ecdsa-sha2-nistp256" : "rsassa-pss-sha256";
  return {
    keytype: kind,
    scheme,
    keyval: { public: key.export({ format: "pem", type: "spki" }).toString() },
  };
}

/** What is signed: keys in order, no white space, and only quotation marks and backslashes escaped. */
export function canonical(value: unknown): string {
  if (typeof value === "string") return `"${value.replaceAll(/["\\]/g, (sign) => `\\${sign}`)}"`;
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return String(value);
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, item]) => `${canonical(key)}:${canonical(item)}`).join(",")}}`;
}
