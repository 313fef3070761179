import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { test } from "node:test";

import { generateKey, isSignedBy, publicKeyFromHex, publicKeyFromPem, publicKeyToPem } from "#trust";

import { codeOf, valueOf } from "./fixture.ts";
import type { Json } from "./json.ts";
import {
  keyFromJson,
  keyFromSeed,
  keyIdOf,
  keyMaterial,
  keyObject,
  keyToJson,
  seedOf,
  shortId,
} from "./keys.ts";

const key = generateKey();
const { keyval } = key.publicKey;
const pemOf = (kind: { readonly publicKey: KeyObject }) =>
  kind.publicKey.export({ format: "pem", type: "spki" }).toString();
const p256 = pemOf(generateKeyPairSync("ec", { namedCurve: "P-256" }));
const p384 = pemOf(generateKeyPairSync("ec", { namedCurve: "P-384" }));
const rsa = pemOf(generateKeyPairSync("rsa", { modulusLength: 1024 }));
const ecdsa = "ecdsa-sha2-nistp256";
const made = (keytype: string, scheme: string, value: string) => {
  const parts = { keytype, scheme, keyval: { public: value } };
  return { keyId: keyIdOf(parts), ...parts };
};

test("a key is used only with the algorithm that it says it is for", async () => {
  const data = Buffer.from("data");
  const signature = await key.sign(data);
  for (const odd of [
    made("ed25519", "rsassa-pss-sha256", keyval.public),
    made("rsa", "ed25519", keyval.public),
    made("ecdsa", "ed25519", keyval.public),
    made("ecdsa", ecdsa, keyval.public),
    made("ed25519", "ed25519", keyval.public.toUpperCase()),
    made("ed25519", "ed25519", `${keyval.public}00`),
    made("ed25519", "ed25519", p256),
    made("ed25519", ecdsa, p256),
    made("rsa", ecdsa, p256),
    made("rsa", "rsa", p256),
    made("ecdsa", "ecdsa-sha2-nistp384", p384),
    made("ecdsa", ecdsa, p384),
    made("ecdsa", ecdsa, rsa),
    made("ecdsa", ecdsa, ""),
  ]) {
    assert.equal(codeOf(keyObject(odd)), "trust/malformed", JSON.stringify(odd));
    assert.equal(isSignedBy(odd, data, signature), false, JSON.stringify(odd));
  }
  assert.equal(isSignedBy(key.publicKey, data, signature), true);
});

test("a P-256 key verifies under both names that TUF has had for its type", () => {
  for (const keytype of ["ecdsa", ecdsa]) {
    assert.equal(valueOf(keyObject(made(keytype, ecdsa, p256))).hash, "sha256");
  }
});

test("a key of a kind that we cannot use counts as itself, and cannot be handed on as a PEM", () => {
  const [one, other] = [made("rsa", "rsassa-pss-sha256", "x"), made("rsa", "rsassa-pss-sha256", "y")];
  assert.equal(keyMaterial(one), keyMaterial({ ...one }));
  assert.notEqual(keyMaterial(one), keyMaterial(other));
  assert.equal(codeOf(publicKeyToPem(one)), "trust/malformed");
});

test("one key is one key however it is written, and two are two", () => {
  const [short, long] = [made("ecdsa", ecdsa, p256), made(ecdsa, ecdsa, `\n${p256}`)];
  assert.notEqual(short.keyId, long.keyId);
  assert.equal(keyMaterial(short), keyMaterial(long));
  assert.notEqual(keyMaterial(key.publicKey), keyMaterial(generateKey().publicKey));
});

test("a key of root metadata is read whole or not at all", () => {
  const json = keyToJson(key.publicKey) as { readonly [key: string]: Json };
  const id = key.publicKey.keyId;
  assert.deepEqual(keyFromJson(id, json), key.publicKey);
  for (const odd of [undefined, null, "key", [json]]) assert.equal(keyFromJson(id, odd), undefined);
  for (const change of [
    { keytype: undefined },
    { keytype: 1 },
    { scheme: undefined },
    { scheme: ["ed25519"] },
    { keyval: undefined },
    { keyval: keyval.public },
    { keyval: {} },
    { keyval: { public: 1 } },
  ]) {
    const changed = { ...json, ...change } as unknown as Json;
    assert.equal(keyFromJson(id, changed), undefined, JSON.stringify(change));
  }
});

test("a seed makes the key that it was taken from; bytes of another length make none", () => {
  const seed = seedOf(key);
  assert.deepEqual(keyFromSeed(seed).publicKey, key.publicKey);
  for (const odd of [seed.subarray(1), Buffer.concat([seed, Buffer.alloc(1)]), Buffer.alloc(0)]) {
    assert.throws(() => keyFromSeed(odd), RangeError);
  }
});

test("a public key that a person types has 64 digits, or is refused with that", () => {
  assert.deepEqual(valueOf(publicKeyFromHex(keyval.public)), key.publicKey);
  for (const odd of ["", keyval.public.slice(1), `${keyval.public}0`, keyval.public.toUpperCase(), p256]) {
    const read = publicKeyFromHex(odd);
    assert.ok(!read.ok && read.refusal.message.includes("64 lower-case hex digits"), odd);
  }
});

test("a PEM of another label is told apart from one whose content cannot be read", () => {
  const message = (pem: string) => {
    const read = publicKeyFromPem(pem);
    return read.ok ? "accepted" : read.refusal.message;
  };
  const secret = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" });
  assert.match(message(secret.toString()), /^public key is not in PEM/);
  assert.match(message(p256.replaceAll("PUBLIC KEY", "CERTIFICATE")), /^public key is not in PEM/);
  assert.match(message(p256.slice(0, 60)), /^public key cannot be read/);
  assert.match(message(p384), /^public key is of type ec/);
  assert.equal(message(p256), "accepted");
});

test("a key is named by its first 12 digits", () => {
  assert.equal(shortId("0123456789abcdef"), "0123456789ab");
  assert.equal(shortId("0123"), "0123");
});
