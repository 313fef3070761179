import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";

import { createCa, generatePrivateKey, signReport, verifyReport } from "#trust";

import { codeOf, valueOf } from "./fixture.ts";
import { preAuthEncoding } from "./envelope.ts";
import { reportType } from "./report.ts";

const { certificate, privateKey } = await createCa({ org: "default", now: new Date() });
const report = Buffer.from("running sha256:00");
const signature = signReport(privateKey, report);

test("a report comes back as it was signed, and only with the whole signature of this key over these bytes", () => {
  assert.deepEqual(valueOf(verifyReport(certificate, report, signature)), report);
  const stranger = signReport(generatePrivateKey(), report);
  assert.equal(codeOf(verifyReport(certificate, report, stranger)), "trust/bad-signature");
  for (let bit = 0; bit < 64; bit += 9) {
    const changed = Buffer.from(signature);
    changed[bit]! ^= 1;
    assert.equal(codeOf(verifyReport(certificate, report, changed)), "trust/bad-signature", `byte ${bit}`);
  }
});

test("a signature of another length is refused before a key is touched, with its length", () => {
  for (const bytes of [0, 63, 65, 72]) {
    const refused = verifyReport(Buffer.from("no certificate"), report, Buffer.alloc(bytes, 1));
    assert.ok(!refused.ok);
    assert.equal(refused.refusal.code, "trust/bad-signature");
    assert.equal(refused.refusal.message, `report signature has ${bytes} bytes; expected 64`);
  }
  const refused = verifyReport(Buffer.from("no certificate"), report, signature);
  assert.equal(codeOf(refused), "trust/malformed");
});

test("what an agent's key signed as something else, or without saying as what, is no report", () => {
  const key = { key: privateKey, dsaEncoding: "ieee-p1363" } as const;
  for (const data of [report, preAuthEncoding("application/vnd.falconry.assignment+json", report)]) {
    assert.equal(codeOf(verifyReport(certificate, report, sign("sha256", data, key))), "trust/bad-signature");
  }
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const other = sign("sha256", preAuthEncoding(reportType, report), rsa);
  assert.equal(codeOf(verifyReport(certificate, report, other)), "trust/bad-signature");
});
