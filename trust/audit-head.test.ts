import assert from "node:assert/strict";
import { test } from "node:test";

import { auditHeadType, judgeAuditHead, signAuditHead, verifyTrustedHead, type AuditHead } from "#trust";

import { codeOf, joined, makeBundle, makeRelease, makeRoot, newKeys, valueOf } from "./fixture.ts";
import { signEnvelope } from "./envelope.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys();
const [signer] = keys.timestamp;
assert.ok(signer !== undefined);
const trusted = joined(await makeRoot(keys, now), await makeRelease(keys, now, [makeBundle()]), now);
const head: AuditHead = { org: "default", sequence: 7, hash: "0f".repeat(32), time: now };
const signed = await signAuditHead(head, signer);

test("an agent reads back exactly the head that its server signed, and takes none of another organisation", async () => {
  assert.deepEqual(valueOf(verifyTrustedHead(trusted, signed, "default")), head);
  assert.equal(codeOf(verifyTrustedHead(trusted, signed, "other")), "trust/wrong-org");
  const other = await signAuditHead({ ...head, org: "other" }, signer);
  const refused = verifyTrustedHead(trusted, other, "default");
  assert.ok(
    !refused.ok && /head 7 is of org "other"; this agent belongs to "default"/.test(refused.refusal.message),
  );
});

test("a head by another key of the same root, or under a root that cannot be read, counts for nothing", async () => {
  const [assigner] = keys.assignment;
  const foreign = await signAuditHead(head, assigner!);
  assert.equal(codeOf(verifyTrustedHead(trusted, foreign, "default")), "trust/unknown-key");
  assert.equal(codeOf(verifyTrustedHead({ ...trusted, root: "{" }, signed, "default")), "trust/malformed");
});

test("a head is read whole or not at all, whichever part of it is odd", async () => {
  const said = JSON.parse(Buffer.from(signed.payload).toString()) as object;
  const read = async (text: string) => {
    const envelope = await signEnvelope(auditHeadType, Buffer.from(text), [signer]);
    return verifyTrustedHead(trusted, envelope, "default");
  };
  assert.equal(codeOf(await read(JSON.stringify(said))), "accepted");
  for (const odd of [
    null,
    [7],
    { ...said, more: 1 },
    { ...said, org: undefined },
    { ...said, org: "A B" },
    { ...said, sequence: undefined },
    { ...said, sequence: 0 },
    { ...said, sequence: 1.5 },
    { ...said, hash: undefined },
    { ...said, hash: "0F".repeat(32) },
    { ...said, time: undefined },
    { ...said, time: "2030-01-01" },
  ]) {
    const result = await read(JSON.stringify(odd));
    assert.ok(!result.ok && result.refusal.code === "trust/malformed", JSON.stringify(odd));
    assert.match(result.refusal.message, /has no org, sequence, hash and time/);
  }
  const garbage = await read("{");
  assert.ok(!garbage.ok && /audit head is not JSON/.test(garbage.refusal.message));
  assert.equal(codeOf(await read(`${JSON.stringify(said)}${" ".repeat(1024)}`)), "trust/too-large");
});

test("the log of another organisation is another log: its head is a first one, however low", () => {
  const other = { ...head, org: "other", sequence: 1 };
  assert.equal(judgeAuditHead(head, other, []), "first");
});
