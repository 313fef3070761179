import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from "node:crypto";

import { accept, quote, refuse, type Checked } from "./checked.ts";
import { canonicalJson, isObject, readJson, showJson, unknownKeys, type JsonObject } from "./json.ts";
import { keyFromSeed, publicKeyFromHex, seedOf, type PublicKey, type SigningKey } from "./keys.ts";
import { isSha256 } from "./names.ts";

const kind = "falconry-signing-key";
const cipher = "aes-256-gcm";
// 128 MiB and a good part of a second per guess.
const scryptN = 2 ** 17;
const scryptR = 8;
const scryptP = 1;
const scryptNMax = 2 ** 18;
const what = "key file";

/** The JSON text of a key file: sealed with the passphrase, or plain when there is none. */
export function encodeKeyFile(key: SigningKey, passphrase: string | undefined): string {
  const { keyId, keyval } = key.publicKey;
  const head = { format: 1, kind, keyId, public: keyval.public };
  const seed = seedOf(key);
  if (passphrase === undefined) {
    return `${canonicalJson({ ...head, seed: Buffer.from(seed).toString("hex") })}\n`;
  }
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const sealer = createCipheriv(cipher, derive(passphrase, salt, scryptN), nonce);
  sealer.setAAD(Buffer.from(canonicalJson(head)));
  const sealed = Buffer.concat([sealer.update(seed), sealer.final(), sealer.getAuthTag()]).toString("hex");
  const scrypt = { n: scryptN, r: scryptR, p: scryptP, salt: salt.toString("hex") };
  return `${canonicalJson({ ...head, cipher, nonce: nonce.toString("hex"), scrypt, sealed })}\n`;
}

/** Reads a key file. Its parameters are bounded before any work is done with them. */
export function decodeKeyFile(text: string, passphrase: string | undefined): Checked<SigningKey> {
  const file = readKeyFile(text);
  if (!file.ok) return file;
  const seed = file.value["seed"] === undefined ? unseal(file.value, passphrase) : plainSeed(file.value);
  if (!seed.ok) return seed;
  const key = keyFromSeed(seed.value);
  const { keyId, keyval } = key.publicKey;
  if (keyId === file.value["keyId"] && keyval.public === file.value["public"]) return accept(key);
  return refuse(
    "trust/malformed",
    `${what}: the secret is of key ${keyId}, not of the key that the file names`,
  );
}

/** True when the key file can only be read with a passphrase. */
export function isSealedKeyFile(text: string): Checked<boolean> {
  const file = readKeyFile(text);
  return file.ok ? accept(file.value["seed"] === undefined) : file;
}

/** The public half of a key file; its passphrase is not needed for that, and is what proves it in the end. */
export function publicKeyOfKeyFile(text: string): Checked<PublicKey> {
  const file = readKeyFile(text);
  if (!file.ok) return file;
  const { keyId, public: value } = file.value;
  const key = publicKeyFromHex(typeof value === "string" ? value : "");
  if (!key.ok || key.value.keyId === keyId) return key;
  return refuse(
    "trust/malformed",
    `${what}: its public key has id ${key.value.keyId}, not ${showJson(keyId)}`,
  );
}

function readKeyFile(text: string): Checked<JsonObject> {
  const json = readJson(Buffer.from(text), { what, bytesMax: 4096, depthMax: 2 });
  if (!json.ok) return json;
  const file = json.value;
  if (!isObject(file) || file["format"] !== 1 || file["kind"] !== kind) {
    return refuse(
      "trust/malformed",
      `${what} is not a ${kind} of format 1; make one with fleetctl trust init`,
    );
  }
  const known = ["format", "kind", "keyId", "public", "seed", "cipher", "nonce", "scrypt", "sealed"];
  const [unknown] = unknownKeys(file, known);
  return unknown === undefined
    ? accept(file)
    : refuse("trust/malformed", `${what} has an unknown field ${quote(unknown)}`);
}

function plainSeed(file: JsonObject): Checked<Uint8Array> {
  const { seed } = file;
  if (isSha256(seed)) return accept(Buffer.from(seed, "hex"));
  return refuse("trust/malformed", `${what}: seed is not 64 hex digits`);
}

function unseal(file: JsonObject, passphrase: string | undefined): Checked<Uint8Array> {
  const scrypt = isObject(file["scrypt"]) ? file["scrypt"] : {};
  const salt = bytesOf(scrypt["salt"], 16);
  const nonce = bytesOf(file["nonce"], 12);
  const sealed = bytesOf(file["sealed"], 48);
  const { n } = scrypt;
  if (salt === undefined || nonce === undefined || sealed === undefined || file["cipher"] !== cipher) {
    return refuse("trust/malformed", `${what} is neither plain nor sealed with ${cipher}`);
  }
  const bounded = typeof n === "number" && n >= 2 ** 14 && n <= scryptNMax && Number.isInteger(Math.log2(n));
  if (!bounded || scrypt["r"] !== scryptR || scrypt["p"] !== scryptP) {
    return refuse("trust/malformed", `${what} demands scrypt parameters that are out of bounds`);
  }
  if (passphrase === undefined) {
    return refuse(
      "trust/wrong-passphrase",
      `${what} of key ${showJson(file["keyId"])} is sealed: give its passphrase`,
    );
  }
  try {
    const opener = createDecipheriv(cipher, derive(passphrase, salt, n), nonce);
    const { format, keyId = null } = file;
    opener.setAAD(
      Buffer.from(canonicalJson({ format: format ?? null, kind, keyId, public: file["public"] ?? null })),
    );
    opener.setAuthTag(sealed.subarray(32));
    return accept(Buffer.concat([opener.update(sealed.subarray(0, 32)), opener.final()]));
  } catch {
    // GCM says only that the tag does not fit.
    return refuse("trust/wrong-passphrase", `${what}: the passphrase is wrong, or the file was altered`);
  }
}

function bytesOf(value: unknown, length: number): Buffer | undefined {
  if (typeof value !== "string" || !/^[0-9a-f]*$/.test(value) || value.length !== length * 2) {
    return undefined;
  }
  return Buffer.from(value, "hex");
}

function derive(passphrase: string, salt: Uint8Array, n: number): Buffer {
  const normal = passphrase.normalize("NFKC");
  return scryptSync(normal, salt, 32, { N: n, r: scryptR, p: scryptP, maxmem: 2 * 128 * n * scryptR });
}
