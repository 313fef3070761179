import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { openSealed, seal } from "./seal.ts";

const by = generateKeyPairSync("ed25519").privateKey;
const mine = { by, purpose: "falconry/notify", bound: "destination chat" };
const text = "https://hooks.example.com/T0/ü";

test("a sealed secret opens for the key, the purpose and the place that it was sealed for, and for no other", () => {
  const sealed = seal(text, mine);
  assert.equal(openSealed(sealed, mine), text);
  assert.equal(openSealed(sealed, { ...mine, by: generateKeyPairSync("ed25519").privateKey }), undefined);
  assert.equal(openSealed(sealed, { ...mine, purpose: "falconry/other" }), undefined);
  // Moved to another destination by somebody who writes to the database.
  assert.equal(openSealed(sealed, { ...mine, bound: "destination mine" }), undefined);
});

test("the same secret sealed twice shows nobody that it is the same", () => {
  const [one, two] = [seal(text, mine), seal(text, mine)].map((sealed) => Buffer.from(sealed));
  assert.ok(one && two);
  // Salt, nonce, tag and body, each of its own.
  for (const [from, to] of [
    [0, 16],
    [16, 28],
    [28, 44],
    [44, one.length],
  ] as const) {
    assert.notDeepEqual(one.subarray(from, to), two.subarray(from, to));
  }
  assert.ok(!one.includes("hooks.example.com"));
});

test("a sealed secret with any bit changed, cut anywhere or longer does not open, and nothing is thrown", () => {
  const sealed = seal(text, mine);
  for (let at = 0; at < sealed.length; at++) {
    const altered = Uint8Array.from(sealed);
    altered[at] = (altered[at] ?? 0) ^ 1;
    assert.equal(openSealed(altered, mine), undefined, `byte ${at}`);
    // Also a tag of fewer bytes, which GCM would take if it were let.
    assert.equal(openSealed(sealed.subarray(0, at), mine), undefined, `cut at ${at}`);
  }
  assert.equal(openSealed(Buffer.concat([sealed, Buffer.of(0)]), mine), undefined);
});
