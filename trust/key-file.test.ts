import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeKeyFile, encodeKeyFile, generateKey, isSealedKeyFile } from "#trust";

import { codeOf, valueOf } from "./fixture.ts";
import { isSignedBy } from "./keys.ts";

const key = generateKey();
const sealed = encodeKeyFile(key, "correct horse battery");
const data = Buffer.from("data");

test("a sealed key signs again with its passphrase, and with no other", async () => {
  const opened = valueOf(decodeKeyFile(sealed, "correct horse battery"));
  assert.ok(isSignedBy(key.publicKey, data, await opened.sign(data)));
  assert.equal(codeOf(decodeKeyFile(sealed, "wrong horse battery")), "trust/wrong-passphrase");
  assert.equal(codeOf(decodeKeyFile(sealed, undefined)), "trust/wrong-passphrase");
  assert.equal(valueOf(isSealedKeyFile(sealed)), true);
});

test("a sealed key file holds the seed nowhere, a plain one says so", () => {
  const plain = encodeKeyFile(key, undefined);
  const { seed } = JSON.parse(plain) as { seed: string };
  assert.equal(sealed.includes(seed), false);
  assert.equal(valueOf(isSealedKeyFile(plain)), false);
  assert.equal(valueOf(decodeKeyFile(plain, undefined)).publicKey.keyId, key.publicKey.keyId);
});

test("a key file cannot be altered, nor demand more work than we are willing to do", () => {
  const file = JSON.parse(sealed) as Record<string, unknown> & { scrypt: object };
  const other = generateKey().publicKey;
  const cases: readonly [object, string][] = [
    [{ keyId: other.keyId, public: other.keyval.public }, "trust/wrong-passphrase"],
    [{ scrypt: { ...file.scrypt, n: 2 ** 30 } }, "trust/malformed"],
    [{ scrypt: { ...file.scrypt, n: 100_000 } }, "trust/malformed"],
    [{ scrypt: { ...file.scrypt, r: 1000 } }, "trust/malformed"],
    [{ cipher: "aes-256-cbc" }, "trust/malformed"],
    [{ nonce: "00" }, "trust/malformed"],
    [{ kind: "something" }, "trust/malformed"],
    [{ extra: 1 }, "trust/malformed"],
  ];
  for (const [change, code] of cases) {
    const altered = JSON.stringify({ ...file, ...change });
    assert.equal(codeOf(decodeKeyFile(altered, "correct horse battery")), code, JSON.stringify(change));
  }
  const plain = JSON.parse(encodeKeyFile(key, undefined)) as object;
  const swapped = JSON.stringify({ ...plain, seed: "0".repeat(64) });
  assert.equal(codeOf(decodeKeyFile(swapped, undefined)), "trust/malformed");
  assert.equal(codeOf(decodeKeyFile("not json", undefined)), "trust/malformed");
});
