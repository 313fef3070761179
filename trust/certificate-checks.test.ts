import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { test } from "node:test";
import "reflect-metadata";

import * as x509 from "@peculiar/x509";

import {
  checkAgentCertificate,
  checkPinnedServer,
  createCa,
  createCsr,
  generatePrivateKey,
  issueAgentCertificate,
  issueServerCertificate,
  issuerPin,
  readAgentCertificate,
  readCas,
  spkiPin,
  type CertifiedKey,
} from "#trust";

import { codeOf, valueOf } from "./fixture.ts";

const now = new Date("2030-01-01T00:00:00Z");
const later = (ms: number) => new Date(now.getTime() + ms);
const identity = { org: "default", clusterId: "cl_1", agentId: "ag_1" };
const ca = await createCa({ org: "default", now });
const namesake = await createCa({ org: "default", now });
const pin = spkiPin(ca.certificate);
const server = await issueServerCertificate({ ca, names: ["fleet.example.com", "127.0.0.1"], now });
const csr = await createCsr(generatePrivateKey());
const agent = valueOf(await issueAgentCertificate({ ca, csr, identity, now }));

/** Signs a certificate that the makers of ours never would. */
async function forge(by: CertifiedKey, issuer?: string): Promise<CertifiedKey> {
  const privateKey = generatePrivateKey();
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const certificate = await x509.X509CertificateGenerator.create({
    issuer: issuer ?? new x509.X509Certificate(Buffer.from(by.certificate)).subjectName,
    subject: "CN=odd",
    notBefore: later(-1000),
    notAfter: later(3_600_000),
    publicKey: createPublicKey(privateKey).toCryptoKey(algorithm, true, ["verify"]),
    signingKey: createPrivateKey(by.privateKey).toCryptoKey(algorithm, true, ["sign"]),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: "url", value: "spiffe://falconry/default/cluster/cl_1/agent/ag_1" },
      ]),
    ],
  });
  return { certificate: Buffer.from(certificate.rawData), privateKey };
}

test("who issued a certificate is told by its signature, by the issuer it names, and by whether that may issue", async () => {
  const check = ({ certificate }: CertifiedKey, by: Uint8Array = ca.certificate) =>
    codeOf(checkAgentCertificate(certificate, [by], now));
  const odd = await forge(ca);
  assert.equal(check(odd), "accepted");
  assert.equal(check(await forge(namesake)), "trust/bad-signature", "another key of the same name");
  assert.equal(check(await forge(ca, "CN=other")), "trust/bad-signature", "the key of the CA, another name");
  assert.equal(check(await forge(server), server.certificate), "trust/bad-signature", "a key for TLS alone");
  // It does not say what its key is for, nor that it is a CA.
  assert.equal(check(await forge(odd), odd.certificate), "trust/bad-signature", "no CA");
});

test("the pin of an issuer is that of the CA that did issue, among several", () => {
  const pinOf = (...cas: CertifiedKey[]) =>
    issuerPin(new X509Certificate(agent), readCas(cas.map(({ certificate }) => certificate)));
  assert.equal(pinOf(namesake, ca), pin);
  assert.equal(pinOf(ca, namesake), pin);
  assert.equal(pinOf(namesake), undefined);
  assert.equal(pinOf(), undefined);
});

test("what is no certificate, or one without names, is refused in words", () => {
  const refused = checkAgentCertificate(Buffer.from("nonsense"), [ca.certificate], now);
  assert.ok(!refused.ok && /client certificate cannot be read/.test(refused.refusal.message));
  assert.deepEqual(readAgentCertificate(Buffer.from("nonsense")), refused);
  assert.deepEqual(readAgentCertificate(new X509Certificate(agent)), readAgentCertificate(agent));
  const ofServer = readAgentCertificate(server.certificate);
  assert.ok(!ofServer.ok && /has the names "DNS:fleet\.example\.com, IP/.test(ofServer.refusal.message));
  const unnamed = checkAgentCertificate(ca.certificate, [ca.certificate], now);
  assert.ok(!unnamed.ok && /has no names; expected one SPIFFE URI/.test(unnamed.refusal.message));
});

test("a certificate holds from its first millisecond to its last, an agent's and a server's", () => {
  const { notBefore, expires } = valueOf(checkAgentCertificate(agent, [ca.certificate], now));
  const chain = [server.certificate, ca.certificate];
  const ofServer = new x509.X509Certificate(Buffer.from(server.certificate));
  const agentAt = (at: Date) => codeOf(checkAgentCertificate(agent, [ca.certificate], at));
  const serverAt = (at: Date) => codeOf(checkPinnedServer({ chain, pin, host: "127.0.0.1", now: at }));
  for (const [check, from, to] of [
    [agentAt, notBefore, expires],
    [serverAt, ofServer.notBefore, ofServer.notAfter],
  ] as const) {
    const at = (date: Date, ms: number) => check(new Date(date.getTime() + ms));
    assert.deepEqual([at(from, -1), at(from, 0)], ["trust/not-yet-valid", "accepted"]);
    assert.deepEqual([at(to, -1), at(to, 0)], ["accepted", "trust/expired"]);
  }
});

test("a server with a CA that is over is refused, however fresh its own certificate", async () => {
  const year = 365 * 86_400_000;
  const old = await createCa({ org: "default", now: later(-11 * year) });
  const fresh = await issueServerCertificate({ ca: old, names: ["127.0.0.1"], now });
  const chain = [fresh.certificate, old.certificate];
  const refused = checkPinnedServer({ chain, pin: spkiPin(old.certificate), host: "127.0.0.1", now });
  assert.ok(!refused.ok);
  assert.equal(refused.refusal.code, "trust/expired");
  assert.match(refused.refusal.message, /^CA certificate expired at/);
});

test("a chain has up to four certificates, the server's own first", () => {
  const check = (...chain: readonly Uint8Array[]) => {
    const result = checkPinnedServer({ chain, pin, host: "127.0.0.1", now });
    return result.ok ? "accepted" : result.refusal.message;
  };
  const root = ca.certificate;
  assert.equal(check(server.certificate, root, root, root), "accepted");
  assert.equal(
    check(server.certificate, root, root, root, root),
    "server sent 5 certificates; expected 2 to 4",
  );
  assert.equal(check(), "server sent 0 certificates; expected 2 to 4");
  assert.match(check(server.certificate), /presents CA key sha256:/);
  assert.match(check(root, server.certificate), /is for .*not for "127\.0\.0\.1"/);
});

test("a server is known by the names in its certificate, an address only as an address", () => {
  const chain = [server.certificate, ca.certificate];
  const at = (host: string) => codeOf(checkPinnedServer({ chain, pin, host, now }));
  assert.deepEqual([at("fleet.example.com"), at("127.0.0.1")], ["accepted", "accepted"]);
  for (const host of [
    "127.0.0.2",
    "::1",
    "example.com",
    "xfleet.example.com",
    "fleet.example.com.evil",
    "",
  ]) {
    assert.equal(at(host), "trust/wrong-host", host);
  }
});
