import assert from "node:assert/strict";
import { test } from "node:test";

import {
  createCa,
  emptyTrusted,
  generateKey,
  newRoot,
  openCaKey,
  sealCaKey,
  signAssignment,
  signCaBundle,
  signMetadata,
  verifyCaBundle,
  type CaBundle,
} from "#trust";

import { codeOf, valueOf } from "./fixture.ts";

const now = new Date("2030-01-01T00:00:00Z");
const expires = new Date("2030-01-08T00:00:00Z");

async function setUp() {
  const [root, online, assignment] = [generateKey(), generateKey(), generateKey()];
  const unsigned = newRoot({
    org: "default",
    version: 1,
    keys: {
      root: [root.publicKey],
      targets: [online.publicKey],
      snapshot: [online.publicKey],
      timestamp: [online.publicKey],
      assignment: [assignment.publicKey],
    },
    thresholds: { root: 1, targets: 1 },
    now,
  });
  const trusted = valueOf(emptyTrusted(valueOf(await signMetadata(valueOf(unsigned), [root]))));
  const cas = [await createCa({ org: "default", now }), await createCa({ org: "default", now })] as const;
  const bundle: CaBundle = { org: "default", version: 3, cas: cas.map((ca) => ca.certificate), expires };
  const context = { org: "default", versionFloor: 3, now };
  return { online, assignment, trusted, cas, bundle, context };
}

test("agents take a list of CAs from the assignment role of their root, and from nobody else", async () => {
  const { online, assignment, trusted, bundle, context } = await setUp();
  const signed = await signCaBundle(bundle, assignment);
  assert.deepEqual(valueOf(verifyCaBundle(trusted, signed, context)), {
    ...bundle,
    cas: bundle.cas.map((ca) => new Uint8Array(ca)),
  });
  const refused = async (change: Partial<CaBundle>, by = assignment, over: Partial<typeof context> = {}) =>
    codeOf(
      verifyCaBundle(trusted, await signCaBundle({ ...bundle, ...change }, by), { ...context, ...over }),
    );
  assert.equal(await refused({}, online), "trust/unknown-key");
  assert.equal(await refused({ version: 2 }), "trust/stale-generation");
  assert.equal(await refused({ org: "other" }), "trust/wrong-org");
  assert.equal(await refused({}, assignment, { now: expires }), "trust/expired");
  assert.equal(await refused({ cas: [] }), "trust/malformed");
  assert.equal(await refused({ cas: [Buffer.from("x")] }), "trust/malformed");
  const altered = {
    ...signed,
    payload: Buffer.from(Buffer.from(signed.payload).toString().replace(":3", ":4")),
  };
  assert.equal(codeOf(verifyCaBundle(trusted, altered, context)), "trust/threshold-not-met");
});

test("what the assignment key signed as an assignment is no list of CAs", async () => {
  const { assignment, trusted, context } = await setUp();
  const other = await signAssignment(
    { org: "default", clusterId: "cl_1", generation: 9, targets: [], notBefore: now, expires },
    assignment,
  );
  assert.equal(codeOf(verifyCaBundle(trusted, other, context)), "trust/malformed");
});

test("the key of the next CA opens with the key of the present one alone, and only for its own certificate", async () => {
  const { cas } = await setUp();
  const [present, next] = cas;
  const sealed = sealCaKey(next, present);
  assert.equal(Buffer.from(sealed).includes("PRIVATE KEY"), false);
  assert.deepEqual(valueOf(openCaKey(sealed, next.certificate, present)), next);
  const third = await createCa({ org: "default", now });
  assert.equal(codeOf(openCaKey(sealed, next.certificate, third)), "trust/bad-signature");
  assert.equal(codeOf(openCaKey(sealed, third.certificate, present)), "trust/bad-signature");
  for (const at of [0, 20, 40, sealed.length - 1]) {
    const broken = Uint8Array.from(sealed, (byte, i) => (i === at ? byte ^ 1 : byte));
    assert.equal(codeOf(openCaKey(broken, next.certificate, present)), "trust/bad-signature", `byte ${at}`);
  }
  assert.equal(codeOf(openCaKey(new Uint8Array(3), next.certificate, present)), "trust/bad-signature");
});
