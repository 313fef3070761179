import assert from "node:assert/strict";
import { test } from "node:test";

import {
  checkExpiry,
  checkSignatures,
  metadataRole,
  parseMetadata,
  signMetadata,
  type Authority,
} from "#trust";

import { codeOf, makeBundle, makeRelease, newKeys, valueOf } from "./fixture.ts";
import type { Json } from "./json.ts";
import { metadataBytesMax } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys({ targets: 2 });
const { targets, snapshot } = await makeRelease(keys, now, [makeBundle()]);
const document = valueOf(parseMetadata("targets", targets));
const { signed } = document;
const signatures = [...document.signatures].map(([keyid, sig]) => ({ keyid, sig }));
const [first, second] = signatures;
assert.ok(first !== undefined && second !== undefined);
const authority = (threshold: number): Authority => ({
  keys: new Map(keys.targets.map(({ publicKey }) => [publicKey.keyId, publicKey])),
  threshold,
  from: "root 7",
});
const read = (outer: unknown) => parseMetadata("targets", Buffer.from(JSON.stringify(outer)));
const messageOf = (result: { ok: true } | { ok: false; refusal: { message: string } }) =>
  result.ok ? "accepted" : result.refusal.message;

test("metadata of another role is told by both roles' names", () => {
  const wrong = parseMetadata("targets", snapshot);
  assert.match(messageOf(wrong), /^targets metadata expected, but its _type is "snapshot"/);
  assert.match(messageOf(read({ signatures, signed: { ...signed, _type: undefined } })), /_type is missing/);
});

test("metadata without what is signed, or that is no object at all, is refused and throws nothing", () => {
  for (const outer of [null, [], "text", {}, { signatures }, { signatures, signed: [signed] }]) {
    assert.match(messageOf(read(outer)), /has no "signed" object/);
  }
});

test("a version is a whole number from 1 that no reader rounds", () => {
  const at = (version: Json) => messageOf(read({ signatures, signed: { ...signed, version } }));
  for (const version of [1, 2, 2 ** 53 - 1]) assert.equal(at(version), "accepted");
  for (const version of [0, -1, 1.5, 2 ** 53, "1", [1], null]) assert.match(at(version), /has version/);
});

test("a list of signatures is read whole or not at all", () => {
  const withList = (list: unknown) => messageOf(read({ signatures: list, signed }));
  for (const list of [undefined, null, {}, "text"]) assert.match(withList(list), /no list of signatures/);
  for (const odd of [
    null,
    "text",
    [first.keyid, first.sig],
    { keyid: first.keyid },
    { sig: first.sig },
    { ...first, sig: 1 },
    { ...first, keyid: [first.keyid] },
  ]) {
    assert.match(withList([second, odd]), /has a signature without keyid and sig/, JSON.stringify(odd));
  }
  assert.match(withList([first, second, { ...first, sig: "00" }]), /signed twice by key/);
  assert.equal(withList([]), "accepted", "whether enough signed is for another check");
});

test("64 signatures are read, and not one more", () => {
  const list = Array.from({ length: 65 }, (_, i) => ({ keyid: `${i}`, sig: "00" }));
  assert.equal(codeOf(read({ signatures: list.slice(1), signed })), "accepted");
  assert.equal(codeOf(read({ signatures: list, signed })), "trust/too-large");
});

test("metadata is as large and as deep as allowed, and no larger or deeper", () => {
  const filled = (length: number) => Buffer.concat([targets, Buffer.alloc(length - targets.length, " ")]);
  assert.equal(codeOf(parseMetadata("targets", filled(metadataBytesMax))), "accepted");
  assert.equal(codeOf(parseMetadata("targets", filled(metadataBytesMax + 1))), "trust/too-large");
  // Two levels are there already.
  const deep = (levels: number) => JSON.parse("[".repeat(levels) + "]".repeat(levels)) as Json;
  assert.equal(messageOf(read({ signatures, signed: { ...signed, note: deep(10) } })), "accepted");
  assert.match(messageOf(read({ signatures, signed: { ...signed, note: deep(11) } })), /nested deeper/);
});

test("a signature counts in the one way that it is written: lower-case hex, and nothing behind it", () => {
  const by = (sig: string) => {
    const changed = valueOf(read({ signatures: [{ ...first, sig }, second], signed }));
    return codeOf(checkSignatures(changed, authority(2)));
  };
  assert.equal(by(first.sig), "accepted");
  for (const sig of [first.sig.toUpperCase(), `${first.sig}zz`, `${first.sig}\n`, `${first.sig}00`, ""]) {
    assert.equal(by(sig), "trust/threshold-not-met", sig);
  }
});

test("a threshold is met by exactly as many signatures as it demands, and not by those of strangers", async () => {
  const check = async (threshold: number, ...signers: typeof keys.targets) => {
    const unsigned = Buffer.from(JSON.stringify({ signatures: [], signed }));
    const made = valueOf(await signMetadata(unsigned, signers));
    return codeOf(checkSignatures(valueOf(parseMetadata("targets", made)), authority(threshold)));
  };
  const [a, b] = keys.targets;
  assert.ok(a !== undefined && b !== undefined);
  assert.equal(await check(2, a, b), "accepted");
  assert.equal(await check(1, a), "accepted");
  assert.equal(await check(2, a), "trust/threshold-not-met");
  assert.equal(await check(2, a, ...keys.snapshot), "trust/threshold-not-met");
  assert.equal(await check(1, ...keys.snapshot), "trust/unknown-key");
  assert.equal(await check(1, ...keys.snapshot, a), "accepted");
  assert.equal(await check(1), "trust/threshold-not-met");
});

test("metadata holds until the very moment at which it expires", () => {
  const { expires } = document;
  assert.equal(codeOf(checkExpiry(document, new Date(expires.getTime() - 1))), "accepted");
  assert.equal(codeOf(checkExpiry(document, expires)), "trust/expired");
});

test("whoever is to sign is told what is wrong with what he was given", () => {
  assert.equal(valueOf(metadataRole(targets)), "targets");
  const cases: readonly [string, RegExp][] = [
    ["{", /metadata is not JSON/],
    ["null", /metadata has _type missing/],
    ['"targets"', /metadata has _type missing/],
    ['{"signed":"targets"}', /metadata has _type missing/],
    ['{"signed":{"_type":"mirrors"}}', /metadata has _type "mirrors"/],
  ];
  for (const [text, message] of cases) assert.match(messageOf(metadataRole(Buffer.from(text))), message);
  const large = Buffer.alloc(metadataBytesMax + 1, " ");
  assert.equal(codeOf(metadataRole(large)), "trust/too-large");
});
