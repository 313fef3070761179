/** Keys of other kinds than ours, held elsewhere: what counts is what root says a key is for. */
import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { test } from "node:test";

import {
  checkSignatures,
  gatherSignatures,
  generateKey,
  parseMetadata,
  publicKeyFromHex,
  publicKeyFromPem,
  publicKeyToPem,
  type Authority,
  type PublicKey,
  type Signer,
} from "#trust";

import { codeOf, makeRoot, newKeys, valueOf } from "./fixture.ts";
import { keyIdOf } from "./keys.ts";
import { signMetadata } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const pemOf = (key: KeyObject) => key.export({ format: "pem", type: "spki" }).toString();

/** An ECDSA key as a key service holds one: it signs SHA-256 and gives DER. */
function p256(): Signer & { readonly privateKey: KeyObject; readonly pem: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = pemOf(publicKey);
  const key = valueOf(publicKeyFromPem(pem));
  return { publicKey: key, privateKey, pem, sign: (data) => sign("sha256", data, privateKey) };
}

const authority = (keys: readonly PublicKey[], threshold: number): Authority => ({
  keys: new Map(keys.map((key) => [key.keyId, key])),
  threshold,
  from: "root 7",
});

test("a threshold is met by an Ed25519 key and a P-256 key together, and by neither alone", async () => {
  const [ours, theirs] = [generateKey(), p256()];
  const both = authority([ours.publicKey, theirs.publicKey], 2);
  const unsigned = await makeRoot(newKeys(), now, { signers: [] });
  const signedBy = async (...signers: readonly Signer[]) =>
    valueOf(parseMetadata("root", valueOf(await signMetadata(unsigned, signers))));
  assert.equal(checkSignatures(await signedBy(ours, theirs), both).ok, true);
  for (const one of [ours, theirs]) {
    assert.equal(codeOf(checkSignatures(await signedBy(one), both)), "trust/threshold-not-met");
  }
});

test("a signature counts for the algorithm that root gives its key, whatever the signer used", async () => {
  const theirs = p256();
  const { keyval } = theirs.publicKey;
  const document = async (make: (data: Uint8Array) => Uint8Array) => {
    const unsigned = await makeRoot(newKeys(), now, { signers: [] });
    const signer = { publicKey: theirs.publicKey, sign: make };
    return valueOf(parseMetadata("root", valueOf(await signMetadata(unsigned, [signer]))));
  };
  const named = authority([theirs.publicKey], 1);
  assert.equal(
    checkSignatures(await document((data) => sign("sha384", data, theirs.privateKey)), named).ok,
    false,
  );
  const p1363 = await document((data) =>
    sign("sha256", data, { key: theirs.privateKey, dsaEncoding: "ieee-p1363" }),
  );
  assert.equal(checkSignatures(p1363, named).ok, false);
  // The same key under the other scheme's name is no key at all.
  for (const kind of [
    { keytype: "ed25519", scheme: "ed25519" },
    { keytype: "ecdsa", scheme: "ed25519" },
    { keytype: "rsa", scheme: "ecdsa-sha2-nistp256" },
  ]) {
    const confused = { keyId: theirs.publicKey.keyId, ...kind, keyval };
    const good = await document((data) => theirs.sign(data) as Uint8Array);
    assert.equal(checkSignatures(good, authority([confused], 1)).ok, false, JSON.stringify(kind));
    assert.equal(checkSignatures(good, named).ok, true);
  }
});

test("a public key has one id, in PEM and in hex, however the PEM was wrapped", () => {
  const ours = generateKey().publicKey;
  const pem = valueOf(publicKeyToPem(ours));
  assert.deepEqual(valueOf(publicKeyFromPem(pem)), ours);
  assert.deepEqual(valueOf(publicKeyFromHex(ours.keyval.public)), ours);
  const theirs = p256();
  assert.equal(theirs.publicKey.keyId, keyIdOf(theirs.publicKey));
  const crlf = `\n${theirs.pem.replaceAll("\n", "\r\n")}\n\n`;
  assert.deepEqual(valueOf(publicKeyFromPem(crlf)), theirs.publicKey);
});

test("public keys of other kinds, private keys and certificates are refused with what is expected", () => {
  const rsa = pemOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey);
  const p384 = pemOf(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey);
  const x25519 = pemOf(generateKeyPairSync("x25519").publicKey);
  const secret = createPrivateKey(p256().privateKey.export({ format: "pem", type: "pkcs8" }).toString());
  const secretPem = secret.export({ format: "pem", type: "pkcs8" }).toString();
  const broken = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
  for (const pem of [rsa, p384, x25519, secretPem, broken, "", "ssh-ed25519 AAAA"]) {
    const read = publicKeyFromPem(pem);
    assert.equal(codeOf(read), "trust/malformed");
    assert.ok(!read.ok && /an Ed25519 or a P-256 key/.test(read.refusal.message), pem.slice(0, 40));
  }
});

test("who has signed and who has not is told by key, and a refusal names those whose turn it is", async () => {
  const [a, b, c, stranger] = [generateKey(), generateKey(), generateKey(), generateKey()];
  const three = authority([a.publicKey, b.publicKey, c.publicKey], 2);
  const unsigned = await makeRoot(newKeys(), now, { signers: [] });
  const wrong = { publicKey: c.publicKey, sign: (data: Uint8Array) => stranger.sign(data) };
  const bytes = valueOf(await signMetadata(unsigned, [a, wrong, stranger]));
  const document = valueOf(parseMetadata("root", bytes));
  assert.deepEqual(gatherSignatures(document, three), {
    signed: [a.publicKey.keyId],
    missing: [b.publicKey.keyId, c.publicKey.keyId],
    invalid: [c.publicKey.keyId],
    unknown: [stranger.publicKey.keyId],
  });
  const refused = checkSignatures(document, three);
  const id = (key: Signer) => key.publicKey.keyId.slice(0, 12);
  assert.ok(!refused.ok);
  assert.match(refused.refusal.message, /^root 1 carries 1 of the 2 valid signatures that root 7 demands/);
  assert.ok(refused.refusal.message.includes(`still to sign: ${id(b)}, ${id(c)}; not valid: ${id(c)}`));
});
