import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { auditDigest, readAuditEntry, type AuditRow } from "./audit.ts";
import { judgeAuditHead, signAuditHead, verifyAuditHead, type AuditHead } from "./audit-head.ts";
import { createAuditVerifier } from "./audit-verify.ts";
import { auditLog, headOf } from "./fixture.ts";
import { generateKey } from "./keys.ts";

const key = generateKey();
const authority = { keys: new Map([[key.publicKey.keyId, key.publicKey]]), threshold: 1, from: "root 1" };

const linksOf = (rows: readonly AuditRow[]) => rows.map(({ body }) => auditDigest(body));

test("a row's hash is what docs/audit.md says, so that another program can compute it", () => {
  const [first, second] = auditLog(2);
  assert.ok(first && second);
  const sha256 = (...parts: (string | Uint8Array)[]) =>
    parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex");
  const digest = Buffer.from(sha256(second.body), "hex");
  const hash = sha256("falconry audit row v1\n", first.hash, digest);
  assert.equal(Buffer.from(second.hash).toString("hex"), hash);
  assert.equal(Buffer.from(first.previous).toString("hex"), "00".repeat(32));
  const entry = readAuditEntry(second.body);
  assert.deepEqual(entry.ok && [entry.value.sequence, entry.value.actor.name], [2, "ada"]);
});

test("an agent moves on only to a head that provably follows the one it holds", () => {
  const rows = auditLog(6);
  const other = auditLog(6, (n) => (n > 3 ? "something else" : `thing ${n}`));
  const held = headOf(rows, 4);
  const judge = (head: AuditHead, links: readonly Uint8Array[] = []) => judgeAuditHead(held, head, links);
  assert.equal(judgeAuditHead(undefined, held, []), "first");
  assert.equal(judge(headOf(rows, 6), linksOf(rows.slice(4))), "newer");
  assert.equal(judge(headOf(rows, 6), linksOf(rows.slice(2))), "newer", "links from before do no harm");
  assert.equal(judge(headOf(rows, 6), linksOf(rows.slice(5))), "unproved");
  assert.equal(judge(headOf(other, 6), linksOf(other.slice(4))), "forked");
  assert.equal(judge(headOf(other, 4)), "forked");
  assert.equal(judge(headOf(rows, 3)), "went-back");
  assert.equal(judge(headOf(rows, 4, 60)), "same");
  assert.equal(judge(headOf(rows, 4)), "older");
});

test("a head counts only with a signature of the right key over these very words", async () => {
  const rows = auditLog(3);
  const envelope = await signAuditHead(headOf(rows, 3), key);
  assert.equal(verifyAuditHead(envelope, authority).ok, true);
  const text = Buffer.from(envelope.payload).toString().replace('"sequence":3', '"sequence":2');
  const changed = verifyAuditHead({ ...envelope, payload: Buffer.from(text) }, authority);
  assert.equal(!changed.ok && changed.refusal.code, "trust/threshold-not-met");
  const foreign = verifyAuditHead(await signAuditHead(headOf(rows, 3), generateKey()), authority);
  assert.equal(!foreign.ok && foreign.refusal.code, "trust/unknown-key");
});

test("an agent that carries nonsense cannot make a log look rewritten", async () => {
  const rows = auditLog(2);
  const verifier = createAuditVerifier("default", authority);
  const envelope = await signAuditHead({ ...headOf(rows, 2), sequence: 9 }, generateKey());
  verifier.head({ envelope, agent: 'agent "liar"' });
  for (const row of rows) verifier.row(row);
  const { problems, notes } = verifier.end();
  assert.deepEqual(problems, []);
  assert.match(notes.join(), /agent "liar" carries does not count/);
});

test("a database whose owner wrote the whole chain anew is found out by any one head that was signed before", async () => {
  const before = auditLog(5);
  const after = auditLog(5, (n) => (n === 2 ? "nothing" : `thing ${n}`));
  for (const [signed, from, through] of [
    [[5], 1, 5],
    [[1, 2, 5], 2, 2],
    [[1, 4], 2, 4],
  ] as const) {
    const verifier = createAuditVerifier("default", authority);
    for (const sequence of signed) {
      verifier.head({ envelope: await signAuditHead(headOf(before, sequence), key) });
    }
    for (const row of after) assert.equal(verifier.row(row), true, "the chain is whole in itself");
    const [problem] = verifier.end().problems;
    assert.deepEqual([problem?.fault, problem?.sequence, problem?.through], ["edited", from, through]);
  }
});

test("a head of the new branch does not hide where a fork began", async () => {
  const lost = auditLog(12);
  const kept = auditLog(13, (n) => (n > 4 ? "after the restore" : `thing ${n}`));
  const verifier = createAuditVerifier("default", authority);
  const heads = [headOf(lost, 4, 0), headOf(kept, 10, 90), headOf(kept, 13, 95)];
  for (const head of heads) verifier.head({ envelope: await signAuditHead(head, key) });
  verifier.head({ envelope: await signAuditHead(headOf(lost, 12, 60), key), agent: 'agent "node-1"' });
  for (const row of kept) verifier.row(row);
  const [problem] = verifier.end().problems;
  assert.deepEqual([problem?.fault, problem?.sequence, problem?.through], ["forked", 5, 12]);
});
