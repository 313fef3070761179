import assert from "node:assert/strict";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { test } from "node:test";

import { isSignedByP256, signP256 } from "./p256.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const platform = { dsaEncoding: "ieee-p1363" } as const;

test("what an agent signs is what other programs read as a signature of 64 bytes, and the other way round, also where its numbers begin with zeros", () => {
  let short = 0;
  for (let i = 0; i < 1_000; i += 1) {
    const data = Buffer.from(`message ${i}`);
    const ours = signP256(privateKey, data);
    assert.equal(ours.length, 64);
    assert.ok(verify("sha256", data, { key: publicKey, ...platform }, ours));
    const theirs = sign("sha256", data, { key: privateKey, ...platform });
    assert.ok(isSignedByP256(publicKey, data, theirs));
    if ([ours, theirs].some((each) => each[0] === 0 || each[32] === 0)) short += 1;
  }
  assert.ok(short > 0, "one number in 256 begins with a zero");
});

test("no signature holds for other data, for another key, with a bit changed, of another length, or with numbers that are none", () => {
  const data = Buffer.from("message");
  const good = signP256(privateKey, data);
  assert.equal(isSignedByP256(publicKey, Buffer.from("another"), good), false);
  assert.equal(
    isSignedByP256(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey, data, good),
    false,
  );
  for (let byte = 0; byte < 64; byte += 1) {
    const changed = Uint8Array.from(good);
    changed[byte]! ^= 0x80;
    assert.equal(isSignedByP256(publicKey, data, changed), false, `byte ${byte}`);
  }
  const lengths = [0, 63, 65, 72].map((length) => {
    const all = new Uint8Array(length);
    all.set(good.subarray(0, length));
    return all;
  });
  const fills = [0, 1, 0xff].map((fill) => new Uint8Array(64).fill(fill));
  for (const bad of [...lengths, ...fills]) assert.equal(isSignedByP256(publicKey, data, bad), false);
  const half = Uint8Array.from(good);
  half.fill(0, 0, 32);
  assert.equal(isSignedByP256(publicKey, data, half), false);
});
