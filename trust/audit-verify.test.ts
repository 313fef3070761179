import assert from "node:assert/strict";
import { test } from "node:test";

import { auditDigest, auditGenesis, auditLink, type AuditRow } from "./audit.ts";
import { signAuditHead, type AuditHead } from "./audit-head.ts";
import { auditAuthority, createAuditVerifier, type AuditVerdict } from "./audit-verify.ts";
import { auditLog, codeOf, headOf, makeRoot, newKeys, valueOf, type Keys } from "./fixture.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys();
const [timestampKey] = keys.timestamp;
const authority = valueOf(auditAuthority([await makeRoot(keys, now)]));

interface Seen {
  /** Heads of the server's own list. */
  readonly heads?: readonly AuditHead[];
  /** Heads that an agent carries. */
  readonly carried?: readonly AuditHead[];
  readonly tip?: { readonly sequence: number; readonly hash: string };
  readonly key?: Keys["timestamp"][number] | undefined;
}

async function judge(rows: readonly AuditRow[], seen: Seen = {}): Promise<AuditVerdict> {
  const verifier = createAuditVerifier("default", authority);
  const signer = seen.key ?? timestampKey!;
  for (const head of seen.heads ?? []) verifier.head({ envelope: await signAuditHead(head, signer) });
  for (const head of seen.carried ?? []) {
    verifier.head({ envelope: await signAuditHead(head, signer), agent: "agent one" });
  }
  if (seen.tip !== undefined) verifier.tip(seen.tip.sequence, seen.tip.hash);
  for (const row of rows) verifier.row(row);
  return verifier.end();
}

/** Fault, first row and last, and the words of each problem. */
const problemsOf = ({ problems }: AuditVerdict) =>
  problems.map(({ fault, sequence, through, why }) => [fault, sequence, through, why]);

const rows = auditLog(6);
const other = auditLog(6, (n) => (n > 3 ? "something else" : `thing ${n}`));

/** A row that says of itself that it follows on another, with a hash that fits. */
function rowOf(sequence: number, body: string, previous: Uint8Array): AuditRow {
  return { sequence, body, previous, hash: auditLink(previous, auditDigest(body)) };
}

test("a whole log is whole, and vouched for as far as the newest signed head, not as far as the database says", async () => {
  const end = { sequence: 6, hash: headOf(rows, 6).hash };
  const heads = [headOf(rows, 2), headOf(rows, 4)];
  assert.deepEqual(await judge(rows, { heads, carried: [headOf(rows, 4)], tip: end }), {
    rows: 6,
    signedThrough: 4,
    problems: [],
    notes: [],
  });
  assert.equal((await judge(rows, { tip: end })).signedThrough, 0);
  assert.deepEqual(await judge(rows, { heads: [headOf(rows, 6)] }), {
    rows: 6,
    signedThrough: 6,
    problems: [],
    notes: [],
  });
  assert.deepEqual(await judge([], { tip: { sequence: 0, hash: "00" } }), {
    rows: 0,
    signedThrough: 0,
    problems: [],
    notes: [],
  });
});

test("rows that are missing are named, one or many; what comes after them is not judged any more", async () => {
  const without = (...gone: readonly number[]) => rows.filter(({ sequence }) => !gone.includes(sequence));
  assert.deepEqual(problemsOf(await judge(without(3))), [
    ["deleted", 3, 3, "row 3 is missing between 2 and 4"],
  ]);
  assert.deepEqual(problemsOf(await judge(without(2, 3, 4))), [
    ["deleted", 2, 4, "rows 2 to 4 are missing between 1 and 5"],
  ]);
  const heads = [headOf(rows, 6)];
  const broken = await judge(without(3, 5), { heads });
  assert.deepEqual([broken.rows, problemsOf(broken).length], [2, 1], "a gap is one fault, and no truncation");
  const verifier = createAuditVerifier("default", authority);
  assert.deepEqual(
    without(3, 5).map((row) => verifier.row(row)),
    [true, true, false, false],
  );
});

test("a log that ends before what was vouched for is cut off, by whichever of the witnesses is furthest", async () => {
  const cut = rows.slice(0, 3);
  assert.deepEqual(problemsOf(await judge(cut, { tip: { sequence: 5, hash: "ab" } })), [
    ["truncated", 4, 5, "the log ends with row 3, the stored end of the chain is of row 5"],
  ]);
  const seen = { heads: [headOf(rows, 4)], carried: [headOf(rows, 6)], tip: { sequence: 5, hash: "ab" } };
  assert.deepEqual(problemsOf(await judge(cut, seen)), [
    ["truncated", 4, 6, "the log ends with row 3, the signed head that agent one carries is of row 6"],
  ]);
  assert.deepEqual(problemsOf(await judge(rows.slice(0, 4), { heads: [headOf(rows, 4)] })), []);
});

test("rows in another order are found by their numbers and by the entries in them", async () => {
  const [one, two, three] = rows;
  assert.ok(one && two && three);
  assert.deepEqual(problemsOf(await judge([one, two, one])), [
    ["reordered", 1, 1, "row 1 comes after row 2"],
  ]);
  const swapped = rowOf(2, three.body, one.hash);
  assert.deepEqual(problemsOf(await judge([one, swapped])), [
    ["reordered", 2, 2, "row 2 holds the entry that was written as row 3"],
  ]);
});

test("a row that was edited is found by its hash, by the row after it, by its words or by its organisation", async () => {
  const [one, two, three] = rows;
  assert.ok(one && two && three);
  const edited = { ...two, body: two.body.replace("thing 2", "nothing") };
  assert.deepEqual(problemsOf(await judge([one, edited, three])), [
    ["edited", 2, 2, "row 2 is not what its hash was made of"],
  ]);
  const rewritten = rowOf(2, edited.body, one.hash);
  assert.deepEqual(problemsOf(await judge([one, rewritten, three])), [
    ["edited", 2, 2, "row 2 was replaced: row 3 still remembers another hash of it"],
  ]);
  assert.deepEqual(problemsOf(await judge([rowOf(1, one.body, Buffer.alloc(32, 7))])), [
    ["edited", 1, 1, "row 1 follows on something before the first row"],
  ]);
  const [unreadable] = problemsOf(await judge([rowOf(1, "{}", auditGenesis)]));
  assert.deepEqual(unreadable?.slice(0, 3), ["edited", 1, 1]);
  assert.match(String(unreadable?.[3]), /^row 1 cannot be read: audit entry/);
  const foreign = one.body.replace('"org":"default"', '"org":"other"');
  assert.deepEqual(problemsOf(await judge([rowOf(1, foreign, auditGenesis)])), [
    ["edited", 1, 1, 'row 1 is of org "other", the log is of "default"'],
  ]);
});

test("a log that was written anew is told from one that went on from an older copy", async () => {
  const hash = headOf(rows, 5).hash.slice(0, 12);
  const said = `gives row 5 the hash ${hash}…, the log has another`;
  const anew = ": the rows were written anew together with their hashes";
  const copy = ", which the server signed as well: the log went on from an older copy of itself";
  const witness = [headOf(rows, 5)];
  assert.deepEqual(problemsOf(await judge(other, { heads: witness })), [
    ["edited", 1, 5, `the server's signed head ${said}${anew}`],
  ]);
  // The server signed the other branch too: the same row of it, or a later one.
  for (const sequence of [5, 6]) {
    const seen = { heads: [headOf(other, sequence)], carried: witness };
    assert.deepEqual(problemsOf(await judge(other, seen)), [
      ["forked", 1, 5, `the signed head that agent one carries ${said}${copy}`],
    ]);
  }
  // What only the database says is no second branch.
  const tip = { sequence: 5, hash: headOf(rows, 5).hash };
  assert.deepEqual(problemsOf(await judge(other, { heads: [headOf(other, 6)], tip })), [
    ["edited", 1, 5, `the stored end of the chain ${said}${anew}`],
  ]);
});

test("where a branch began is no later than the last head of before that still fits", async () => {
  const from = async (agreed: AuditHead) => {
    const seen = { heads: [agreed, headOf(other, 6, 90)], carried: [headOf(rows, 5, 60)] };
    const [problem] = (await judge(other, seen)).problems;
    return problem?.sequence;
  };
  assert.equal(await from(headOf(rows, 2, 0)), 3);
  assert.equal(await from(headOf(rows, 2, 60)), 3, "a head of the same second");
  assert.equal(await from(headOf(rows, 2, 61)), 1, "one that is later may be of the other branch");
  assert.equal(await from(headOf(other, 5, 0)), 1, "of the row itself it proves nothing");
  assert.equal(await from(headOf(other, 6, 0)), 1, "nor does one of a row after it");
});

test("several heads of one row all count, also when the first of them is the good one", async () => {
  const seen = { heads: [headOf(other, 5), headOf(rows, 5)] };
  assert.deepEqual(
    (await judge(other, seen)).problems.map(({ fault, through }) => [fault, through]),
    [["forked", 5]],
  );
});

test("a head of the server that does not verify is a fault, one that an agent carries is a note", async () => {
  const foreign = { ...headOf(rows, 4), org: "other" };
  assert.deepEqual(problemsOf(await judge(rows, { heads: [foreign] })), [
    ["bad-head", 4, 4, 'the stored head of row 4 does not verify: it is of org "other"'],
  ]);
  const [stranger] = newKeys().timestamp;
  const forged = await judge(rows, { heads: [headOf(rows, 3)], key: stranger });
  assert.match(forged.problems[0]?.why ?? "", /^the stored head of row 3 does not verify: .*key/);
  assert.equal(forged.signedThrough, 0);
  const carried = await judge(rows, { carried: [foreign] });
  assert.deepEqual(carried.problems, []);
  assert.deepEqual(carried.notes, [
    'the signed head that agent one carries does not count: it is of org "other"',
  ]);
  const nonsense = await judge(rows, { carried: [headOf(rows, 3)], key: stranger });
  assert.match(nonsense.notes.join(), /carries does not count: .*key/);
});

test("heads count with the timestamp key of every root of the chain, and of no other root", async () => {
  const next = { ...keys, timestamp: newKeys().timestamp };
  const chain = [await makeRoot(keys, now), await makeRoot(next, now, { version: 2 })];
  const both = valueOf(auditAuthority(chain));
  assert.deepEqual(
    [...both.keys.keys()],
    [keys.timestamp[0]?.publicKey.keyId, next.timestamp[0]?.publicKey.keyId],
  );
  assert.equal(both.threshold, 1);
  const stranger = newKeys();
  const foreign = await makeRoot(stranger, now, { version: 2 });
  assert.equal(codeOf(auditAuthority([chain[0]!, foreign])), "trust/unknown-key");
  const unsigned = await makeRoot(keys, now, { signers: stranger.root });
  assert.notEqual(codeOf(auditAuthority([unsigned])), "accepted");
  assert.equal(codeOf(auditAuthority([Buffer.from("no root")])), "trust/malformed");
});

test("whoever holds a root takes no log whose roots do not hold it", async () => {
  const next = { ...keys, timestamp: newKeys().timestamp };
  const chain = [await makeRoot(keys, now), await makeRoot(next, now, { version: 2 })];
  for (const anchor of chain) assert.equal(codeOf(auditAuthority(chain, anchor)), "accepted");
  const held = await makeRoot(newKeys(), now);
  assert.equal(codeOf(auditAuthority(chain, held)), "trust/wrong-pin");
});
