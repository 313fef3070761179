import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import "reflect-metadata";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { connect, createServer, type TLSSocket } from "node:tls";

import * as x509 from "@peculiar/x509";

import {
  checkAgentCertificate,
  checkPinnedServer,
  createCa,
  createCsr,
  generatePrivateKey,
  issueAgentCertificate,
  issueServerCertificate,
  certificateToPem,
  certificatesFromPem,
  readAgentCertificate,
  readCsr,
  signReport,
  spkiPin,
  verifyReport,
  type CertifiedKey,
} from "#trust";

import { codeOf, valueOf } from "./fixture.ts";

const now = new Date();
const hour = 3_600_000;
const identity = { org: "default", clusterId: "cl_1", agentId: "ag_1" };
const later = (ms: number) => new Date(now.getTime() + ms);

async function agent(ca: CertifiedKey) {
  const privateKey = generatePrivateKey();
  const csr = await createCsr(privateKey);
  const certificate = valueOf(await issueAgentCertificate({ ca, csr, identity, now }));
  return { privateKey, csr, certificate };
}

test("a TLS server and an agent with certificates of one CA accept each other", async () => {
  const ca = await createCa({ org: "default", now });
  const caPem = certificateToPem(ca.certificate);
  const own = await issueServerCertificate({ ca, names: ["localhost", "127.0.0.1", "::1"], now });
  const { certificate, privateKey } = await agent(ca);
  const server = createServer(
    {
      key: own.privateKey,
      cert: certificateToPem(own.certificate),
      ca: caPem,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (socket: TLSSocket) => {
      socket.on("error", () => {}); // The client hangs up as soon as it has read.
      const peer = socket.getPeerCertificate();
      const read = valueOf(readAgentCertificate(peer.raw));
      socket.end(JSON.stringify({ authorized: socket.authorized, identity: read.identity }));
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const client = connect({
    host: "127.0.0.1",
    port: address.port,
    ca: caPem,
    key: privateKey,
    cert: certificateToPem(certificate),
    minVersion: "TLSv1.3",
  });
  let text = "";
  for await (const chunk of client) text += String(chunk);
  assert.deepEqual(JSON.parse(text), { authorized: true, identity });
  server.close();
});

test("checkPinnedServer() knows the server by the pin in the join string, for its names only", async () => {
  const ca = await createCa({ org: "default", now });
  const own = await issueServerCertificate({ ca, names: ["fleet.example.com", "127.0.0.1", "::1"], now });
  const chain = [own.certificate, ca.certificate];
  const pin = spkiPin(ca.certificate);
  for (const host of ["fleet.example.com", "127.0.0.1", "::1"]) {
    assert.equal(checkPinnedServer({ chain, pin, host, now }).ok, true, host);
  }
  assert.equal(codeOf(checkPinnedServer({ chain, pin, host: "other.example.com", now })), "trust/wrong-host");
  const old = { chain, pin, host: "127.0.0.1", now: later(366 * 24 * hour) };
  assert.equal(codeOf(checkPinnedServer(old)), "trust/expired");
  assert.equal(codeOf(checkPinnedServer({ ...old, now: later(-hour) })), "trust/not-yet-valid");
  const long = Array.from({ length: 5 }, () => chain).flat();
  assert.equal(codeOf(checkPinnedServer({ chain: long, pin, host: "127.0.0.1", now })), "trust/malformed");
  assert.equal(codeOf(checkPinnedServer({ chain: [], pin, host: "127.0.0.1", now })), "trust/malformed");
  assert.equal(
    codeOf(checkPinnedServer({ chain: [Buffer.from("x")], pin, host: "a", now })),
    "trust/malformed",
  );
});

test("checkPinnedServer() refuses another CA, also when it sends the pinned one along, and names both hashes", async () => {
  const ca = await createCa({ org: "default", now });
  const evil = await createCa({ org: "default", now });
  const own = await issueServerCertificate({ ca: evil, names: ["127.0.0.1"], now });
  const pin = spkiPin(ca.certificate);
  for (const chain of [
    [own.certificate, evil.certificate],
    [own.certificate, evil.certificate, ca.certificate],
    [own.certificate, ca.certificate],
  ]) {
    assert.equal(codeOf(checkPinnedServer({ chain, pin, host: "127.0.0.1", now })), "trust/wrong-pin");
  }
  const refused = checkPinnedServer({
    chain: [own.certificate, evil.certificate],
    pin,
    host: "127.0.0.1",
    now,
  });
  assert.ok(!refused.ok);
  assert.ok(
    refused.refusal.message.includes(pin) && refused.refusal.message.includes(spkiPin(evil.certificate)),
  );
});

test("an agent's certificate cannot act as a CA for another", async () => {
  const ca = await createCa({ org: "default", now });
  const own = await agent(ca);
  const forged = await issueServerCertificate({ ca: own, names: ["127.0.0.1"], now });
  const chain = [forged.certificate, own.certificate, ca.certificate];
  const pin = spkiPin(own.certificate);
  assert.equal(codeOf(checkPinnedServer({ chain, pin, host: "127.0.0.1", now })), "trust/wrong-pin");
});

test("checkAgentCertificate() refuses strangers, server certificates and what has expired", async () => {
  const ca = await createCa({ org: "default", now });
  const other = await createCa({ org: "default", now });
  const { certificate } = await agent(ca);
  assert.deepEqual(
    valueOf(checkAgentCertificate(certificate, [other.certificate, ca.certificate], now)).identity,
    identity,
  );
  assert.equal(codeOf(checkAgentCertificate(certificate, [other.certificate], now)), "trust/bad-signature");
  assert.equal(codeOf(checkAgentCertificate(certificate, [], now)), "trust/bad-signature");
  assert.equal(
    codeOf(checkAgentCertificate(certificate, [ca.certificate], later(25 * hour))),
    "trust/expired",
  );
  const server = await issueServerCertificate({ ca, names: ["localhost"], now });
  assert.equal(codeOf(checkAgentCertificate(server.certificate, [ca.certificate], now)), "trust/malformed");
});

test("a certificate request without proof of possession is refused", async () => {
  const ca = await createCa({ org: "default", now });
  const csr = await createCsr(generatePrivateKey());
  assert.match(valueOf(await readCsr(csr)).pin, /^sha256:[0-9a-f]{64}$/);
  const altered = Buffer.from(csr);
  altered[altered.length - 1]! ^= 1; // The last byte of the signature.
  assert.equal(
    codeOf(await issueAgentCertificate({ ca, csr: altered, identity, now })),
    "trust/bad-signature",
  );
  for (const garbage of [Buffer.from("garbage"), Buffer.alloc(0), Buffer.alloc(20_000), ca.certificate]) {
    const result = await readCsr(garbage);
    assert.ok(!result.ok && /malformed|too-large/.test(result.refusal.code));
  }
});

test("a certificate request for a key of another kind is refused", async () => {
  const algorithm = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=agent",
    keys: {
      privateKey: privateKey.toCryptoKey(algorithm, true, ["sign"]),
      publicKey: publicKey.toCryptoKey(algorithm, true, ["verify"]),
    },
    signingAlgorithm: algorithm,
  });
  const result = await readCsr(Buffer.from(request.rawData));
  assert.ok(!result.ok && /not for a P-256 key/.test(result.refusal.message));
});

test("a report holds only under the key of the session's own certificate", async () => {
  const ca = await createCa({ org: "default", now });
  const mine = await agent(ca);
  const foreign = await agent(ca);
  const report = Buffer.from("running sha256:00");
  const signature = signReport(mine.privateKey, report);
  assert.equal(signature.length, 64);
  assert.equal(verifyReport(mine.certificate, report, signature).ok, true);
  assert.equal(codeOf(verifyReport(foreign.certificate, report, signature)), "trust/bad-signature");
  assert.equal(
    codeOf(verifyReport(mine.certificate, Buffer.from("running sha256:01"), signature)),
    "trust/bad-signature",
  );
  assert.equal(codeOf(verifyReport(mine.certificate, report, signature.subarray(1))), "trust/bad-signature");
});

test("a PEM file gives back its certificates", async () => {
  const one = await createCa({ org: "default", now });
  const two = await createCa({ org: "default", now });
  const pem = certificateToPem(one.certificate) + certificateToPem(two.certificate);
  assert.deepEqual(certificatesFromPem(pem).map(spkiPin), [
    spkiPin(one.certificate),
    spkiPin(two.certificate),
  ]);
});

test("a certificate that the CA issued for something else is no agent's", async () => {
  const ca = await createCa({ org: "default", now });
  const issuer = new x509.X509Certificate(Buffer.from(ca.certificate));
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const issue = async (names: x509.JsonGeneralNames, usage: x509.ExtendedKeyUsage) => {
    const certificate = await x509.X509CertificateGenerator.create({
      issuer: issuer.subjectName,
      subject: "CN=odd",
      notBefore: later(-hour),
      notAfter: later(hour),
      publicKey: createPublicKey(generatePrivateKey()).toCryptoKey(algorithm, true, ["verify"]),
      signingKey: createPrivateKey(ca.privateKey).toCryptoKey(algorithm, true, ["sign"]),
      signingAlgorithm: algorithm,
      extensions: [
        new x509.ExtendedKeyUsageExtension([usage]),
        new x509.SubjectAlternativeNameExtension(names),
      ],
    });
    return checkAgentCertificate(Buffer.from(certificate.rawData), [ca.certificate], now);
  };
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  const own = { type: "url", value: "spiffe://falconry/default/cluster/cl_1/agent/ag_1" } as const;
  const other = { type: "url", value: "spiffe://falconry/default/cluster/cl_2/agent/ag_2" } as const;
  assert.equal(codeOf(await issue([own], clientAuth)), "accepted");
  assert.equal(codeOf(await issue([own], serverAuth)), "trust/malformed");
  assert.equal(codeOf(await issue([own, other], clientAuth)), "trust/malformed");
  assert.equal(codeOf(await issue([], clientAuth)), "trust/malformed");
  assert.equal(codeOf(await issue([{ ...own, type: "dns" }], clientAuth)), "trust/malformed");
  assert.equal(codeOf(await issue([{ ...own, value: "spiffe://other/x" }], clientAuth)), "trust/malformed");
  // Names that look like ours where all of them are written in one line.
  for (const name of [
    { type: "dns", value: `a, URI:${own.value}` },
    { type: "dns", value: `URI:${own.value}` },
    { type: "email", value: `a@b, URI:${own.value}` },
    { type: "url", value: `${own.value}, DNS:a` },
    { type: "url", value: `"${own.value}"` },
    { type: "url", value: `${own.value}\0` },
  ] as const) {
    assert.equal(codeOf(await issue([name], clientAuth)), "trust/malformed", JSON.stringify(name));
  }
});
