import "reflect-metadata";
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";

import * as x509 from "@peculiar/x509";

import {
  createCa,
  emptyTrusted,
  generateKey,
  newRoot,
  openCaKey,
  sealCaKey,
  signAssignment,
  signCaBundle,
  signEnvelope,
  signMetadata,
  verifyCaBundle,
  type CaBundle,
} from "#trust";

import { caBundleType } from "./ca-bundle.ts";
import { codeOf, valueOf } from "./fixture.ts";
import { encodeMetadata, parseMetadata } from "./metadata.ts";

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
  return { root, online, assignment, trusted, cas, bundle, context };
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

test("a list of CAs is for the organisation of the agent and of its root, which are one", async () => {
  const { assignment, trusted, bundle, context } = await setUp();
  const at = { ...context, org: "other" };
  const moved = await signCaBundle({ ...bundle, org: "other" }, assignment);
  assert.equal(codeOf(verifyCaBundle(trusted, moved, at)), "trust/wrong-org");
  const ours = await signCaBundle(bundle, assignment);
  assert.equal(codeOf(verifyCaBundle(trusted, ours, at)), "trust/wrong-org");
});

test("a root without an assignment role, or one that cannot be read, lets nobody name CAs", async () => {
  const { root, assignment, trusted, bundle, context } = await setUp();
  const signed = await signCaBundle(bundle, assignment);
  const { "x-falconry-assignment": _, ...plain } = valueOf(
    parseMetadata("root", Buffer.from(trusted.root)),
  ).signed;
  const bare = valueOf(emptyTrusted(valueOf(await signMetadata(encodeMetadata(plain), [root]))));
  const refused = verifyCaBundle(bare, signed, context);
  assert.ok(!refused.ok && /gives no key the right to name CAs/.test(refused.refusal.message));
  assert.equal(codeOf(verifyCaBundle({ ...trusted, root: "{" }, signed, context)), "trust/malformed");
});

test("a list of CAs is read whole or not at all, whichever part of it is odd", async () => {
  const { assignment, trusted, cas, bundle, context } = await setUp();
  const [ca] = cas.map(({ certificate }) => Buffer.from(certificate).toString("base64"));
  const good = { org: "default", version: 3, cas: [ca], expires: "2030-01-08T00:00:00Z" };
  const read = async (value: unknown) => {
    const payload = Buffer.from(JSON.stringify(value) ?? "{");
    return verifyCaBundle(trusted, await signEnvelope(caBundleType, payload, [assignment]), context);
  };
  assert.equal(codeOf(await read(good)), "accepted");
  assert.equal(codeOf(await read({ ...good, cas: [ca, ca, ca, ca] })), "accepted");
  const cases: readonly [unknown, RegExp][] = [
    [undefined, /is not JSON/],
    [[], /is not an object/],
    [null, /is not an object/],
    [{ ...good, mode: 1 }, /unknown field "mode"/],
    [{ ...good, org: undefined }, /has no org/],
    [{ ...good, org: ["default"] }, /has no org/],
    [{ ...good, version: undefined }, /has no version/],
    [{ ...good, version: 0 }, /has no version/],
    [{ ...good, version: "3" }, /has no version/],
    [{ ...good, expires: undefined }, /has no expires/],
    [{ ...good, expires: "2030-01-08" }, /has no expires/],
    [{ ...good, cas: undefined }, /does not hold 1 to 4 CAs/],
    [{ ...good, cas: ca }, /does not hold 1 to 4 CAs/],
    [{ ...good, cas: { 0: ca, length: 1 } }, /does not hold 1 to 4 CAs/],
    [{ ...good, cas: [] }, /does not hold 1 to 4 CAs/],
    [{ ...good, cas: [ca, ca, ca, ca, ca] }, /does not hold 1 to 4 CAs/],
    [{ ...good, cas: [ca, 1] }, /holds a CA that is no text/],
    [{ ...good, cas: ["AAAA"] }, /holds a CA that cannot be read/],
  ];
  for (const [value, message] of cases) {
    const result = await read(value);
    assert.ok(!result.ok && result.refusal.code === "trust/malformed", JSON.stringify(value)?.slice(0, 80));
    assert.match(result.refusal.message, message);
  }
  const later = { ...context, now: new Date(expires.getTime() - 1) };
  assert.equal(codeOf(verifyCaBundle(trusted, await signCaBundle(bundle, assignment), later)), "accepted");
});

/** A certificate that its own key signed, but that is no CA or says that another one issued it. */
async function oddCa(isCa: boolean, issuer: string): Promise<Uint8Array> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const made = await x509.X509CertificateGenerator.create({
    subject: "CN=Falconry CA",
    issuer,
    notBefore: now,
    notAfter: expires,
    publicKey: pair.publicKey.toCryptoKey(algorithm, true, ["verify"]),
    signingKey: pair.privateKey.toCryptoKey(algorithm, true, ["sign"]),
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(isCa, undefined, true)],
  });
  return new Uint8Array(made.rawData);
}

test("an agent takes only CAs that sign for themselves, and all of a list or none of it", async () => {
  const { assignment, trusted, cas, bundle, context } = await setUp();
  const { certificate } = cas[0];
  const check = async (...list: readonly Uint8Array[]) =>
    codeOf(verifyCaBundle(trusted, await signCaBundle({ ...bundle, cas: list }, assignment), context));
  assert.equal(await check(await oddCa(true, "CN=Falconry CA")), "accepted");
  const broken = Uint8Array.from(certificate);
  broken[broken.length - 1]! ^= 1;
  for (const odd of [broken, await oddCa(false, "CN=Falconry CA"), await oddCa(true, "CN=Another CA")]) {
    assert.equal(await check(odd), "trust/malformed");
    assert.equal(await check(certificate, odd), "trust/malformed");
    assert.equal(await check(odd, certificate), "trust/malformed");
  }
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
