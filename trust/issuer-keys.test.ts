import assert from "node:assert/strict";
import { generateKeyPairSync, type JsonWebKey } from "node:crypto";
import { test } from "node:test";

import { readIssuerKeys } from "#trust";

import { valueOf } from "./fixture.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const publicJwk = rsa.publicKey.export({ format: "jwk" });
const good = { use: "sig", alg: "RS256", kid: "k1", ...publicJwk };
const setOf = (...keys: readonly object[]) => JSON.stringify({ keys });

function refusalOf(text: string): string {
  const read = readIssuerKeys(text);
  assert.ok(!read.ok, "it was read");
  return read.refusal.message;
}

test("keys are read with the algorithm that belongs to them, and their digest does not depend on their order", () => {
  const other: JsonWebKey = { kid: "k2", ...p256.publicKey.export({ format: "jwk" }) };
  const read = valueOf(readIssuerKeys(setOf(good, other)));
  assert.deepEqual(
    read.keys.map(({ kid, alg, kty }) => [kid, alg, kty]),
    [
      ["k1", "RS256", "RSA"],
      ["k2", "ES256", "EC"],
    ],
  );
  assert.equal(valueOf(readIssuerKeys(setOf(other, { ...good, x5c: ["ignored"] }))).digest, read.digest);
  assert.notEqual(valueOf(readIssuerKeys(setOf(good))).digest, read.digest);
});

const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" });
const bad: readonly (readonly [what: string, text: string, said: RegExp])[] = [
  ["no JSON", "{", /is not JSON/],
  ["no list", "{}", /no JSON Web Key Set/],
  ["no key", setOf(), /holds no key/],
  ["a private key", setOf({ kid: "k", ...rsa.privateKey.export({ format: "jwk" }) }), /is secret/],
  ["a symmetric key", setOf({ kid: "k", kty: "oct", k: "c2VjcmV0" }), /is secret/],
  ["a key for encryption", setOf({ ...good, use: "enc" }), /not for signatures/],
  ["a key without an id", setOf({ ...publicJwk }), /has no id/],
  ["an id twice", setOf(good, good), /holds "k1" twice/],
  ["a short key", setOf({ kid: "k", ...short }), /has 1024 bits/],
  ["an exponent of 1", setOf({ ...good, e: "AQ" }), /exponent|no key/],
  ["another algorithm", setOf({ ...good, alg: "HS256" }), /another algorithm than RS256/],
  [
    "an unknown curve",
    setOf({ kid: "k", kty: "EC", crv: "secp256k1", x: "AA", y: "AA" }),
    /neither an RSA key/,
  ],
  ["no point of the curve", setOf({ kid: "k", kty: "EC", crv: "P-256", x: "AAAA", y: "AAAA" }), /is no key/],
  [
    "seventeen keys",
    setOf(...Array.from({ length: 17 }, (_, i) => ({ ...good, kid: `k${i}` }))),
    /at most 16/,
  ],
  ["too much", setOf({ ...good, more: "x".repeat(70_000) }), /at most 65536/],
];
test("a key set with anything but public keys that Kubernetes signs with is refused whole, and says why", () => {
  for (const [what, text, said] of bad) assert.match(refusalOf(text), said, what);
});
