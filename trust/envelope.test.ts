import assert from "node:assert/strict";
import { test } from "node:test";

import { generateKey, signEnvelope, verifyEnvelope, type Authority, type Envelope } from "#trust";

import { codeOf, valueOf } from "./fixture.ts";
import { payloadBytesMax } from "./envelope.ts";

const type = "application/x-test";
const [a, b, stranger] = [generateKey(), generateKey(), generateKey()];
const authority = (threshold: number): Authority => ({
  keys: new Map([a, b].map(({ publicKey }) => [publicKey.keyId, publicKey])),
  threshold,
  from: "root 7",
});
const payload = Buffer.from("{}");
const by = (...signers: readonly (typeof a)[]) => signEnvelope(type, payload, signers);
const verify = (envelope: Envelope, threshold = 1, wanted = type) =>
  verifyEnvelope(envelope, wanted, authority(threshold));
const messageOf = (result: ReturnType<typeof verify>) => (result.ok ? "accepted" : result.refusal.message);

test("an envelope gives its payload when enough of the right keys signed it, and each key counts once", async () => {
  assert.equal(valueOf(verify(await by(a))), payload);
  assert.equal(codeOf(verify(await by(a, b), 2)), "accepted");
  assert.equal(codeOf(verify(await by(a, stranger))), "accepted", "a stranger's signature does no harm");
  assert.equal(codeOf(verify(await by(stranger, a))), "accepted");
  assert.equal(codeOf(verify(await by(a), 2)), "trust/threshold-not-met");
  assert.equal(codeOf(verify(await by(a, a), 2)), "trust/threshold-not-met");
});

test("a signature holds for the type that was signed, whatever the envelope or its reader calls it", async () => {
  const signed = await by(a);
  assert.equal(codeOf(verify({ ...signed, payloadType: "application/x-other" })), "trust/malformed");
  assert.match(messageOf(verify(signed, 1, "application/x-other")), /holds "application\/x-test"/);
  const renamed = { ...signed, payloadType: "application/x-other" };
  assert.equal(codeOf(verify(renamed, 1, "application/x-other")), "trust/threshold-not-met");
});

test("an envelope whose signers are all unknown says so; one false or missing signature is a lack", async () => {
  const [signed, foreign] = [await by(a), await by(stranger)];
  assert.equal(codeOf(verify(foreign)), "trust/unknown-key");
  assert.equal(codeOf(verify({ ...signed, signatures: [] })), "trust/threshold-not-met");
  assert.match(messageOf(verify({ ...signed, signatures: [] })), /0 of the 1 valid .*signed by: nobody\)$/);
  const [theirs] = foreign.signatures;
  const posed = { keyId: a.publicKey.keyId, signature: theirs!.signature };
  for (const signatures of [[posed], [posed, theirs!], [theirs!, posed]]) {
    assert.equal(codeOf(verify({ ...signed, signatures })), "trust/threshold-not-met");
  }
  assert.ok(messageOf(verify(foreign)).includes(`signed by: "${stranger.publicKey.keyId.slice(0, 12)}"`));
});

test("a payload and a list of signatures as large as allowed are verified, one more is refused", async () => {
  const signed = await by(...Array.from({ length: 16 }, () => a));
  assert.equal(codeOf(verify(signed)), "accepted");
  const more = { ...signed, signatures: [...signed.signatures, ...signed.signatures.slice(1, 2)] };
  assert.equal(codeOf(verify(more)), "trust/too-large");
  const large = await signEnvelope(type, Buffer.alloc(payloadBytesMax), [a]);
  assert.equal(codeOf(verify(large)), "accepted");
  const larger = await signEnvelope(type, Buffer.alloc(payloadBytesMax + 1), [a]);
  assert.equal(codeOf(verify(larger)), "trust/too-large");
});
