import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  type webcrypto,
  X509Certificate as Certificate,
} from "node:crypto";

import type * as X509 from "@peculiar/x509";

import { addressKind } from "./address.ts";
import { accept, reasonOf, refuse, type Checked } from "./checked.ts";
import { spiffeId, type AgentIdentity } from "./identity.ts";
import { dayMs, hourMs, plus, secondMs } from "./time.ts";

/** A certificate in DER with its private key in PEM (PKCS #8). */
export interface CertifiedKey {
  readonly certificate: Uint8Array;
  readonly privateKey: string;
}

export const caLifetimeMs = 3650 * dayMs;
export const serverLifetimeMs = 365 * dayMs;
export const agentLifetimeMs = 24 * hourMs;
// Clocks differ; a certificate must not be too young for the one who gets it.
const backdatedMs = 300 * secondMs;
const csrBytesMax = 16 * 1024;
const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** Loaded when a certificate or a request is made or read: hundreds of classes, and an enrolled agent needs them once in hours. */
async function certificateLibrary(): Promise<typeof X509> {
  // The library's ASN.1 classes register themselves through it, so it comes first.
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

/** A new P-256 private key in PEM, for an agent or a server. */
export function generatePrivateKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** A certificate authority for one organisation, 10 years. */
export async function createCa(options: {
  readonly org: string;
  readonly now: Date;
  readonly lifetimeMs?: number;
}): Promise<CertifiedKey> {
  const x509 = await certificateLibrary();
  const privateKey = generatePrivateKey();
  const keys = cryptoKeys(privateKey);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(options.now, options.lifetimeMs ?? caLifetimeMs),
    name: [{ CN: ["Falconry CA"] }, { O: [options.org] }],
    keys,
    signingAlgorithm: ecdsa,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: new Uint8Array(certificate.rawData), privateKey };
}

/** A server certificate for these DNS names and IP addresses with a new key, one year. */
export async function issueServerCertificate(options: {
  readonly ca: CertifiedKey;
  readonly names: readonly string[];
  readonly now: Date;
  readonly lifetimeMs?: number;
}): Promise<CertifiedKey> {
  const privateKey = generatePrivateKey();
  const names = options.names.map((value) => ({
    type: addressKind(value) !== undefined ? ("ip" as const) : ("dns" as const),
    value,
  }));
  const certificate = await issue(options.ca, {
    ...validity(options.now, options.lifetimeMs ?? serverLifetimeMs),
    subject: [{ CN: ["Falconry server"] }],
    publicKey: cryptoKeys(privateKey).publicKey,
    names,
    usage: "serverAuth",
  });
  return { certificate, privateKey };
}

/**
 * A client certificate for the key of a certificate request, 24 hours. The request must prove possession of a P-256 key;
 * nothing else of it is used.
 */
export async function issueAgentCertificate(options: {
  readonly ca: CertifiedKey;
  readonly csr: Uint8Array;
  readonly identity: AgentIdentity;
  readonly now: Date;
  readonly lifetimeMs?: number;
}): Promise<Checked<Uint8Array>> {
  const request = await readCsr(options.csr);
  if (!request.ok) return request;
  const certificate = await issue(options.ca, {
    ...validity(options.now, options.lifetimeMs ?? agentLifetimeMs),
    subject: [{ CN: [options.identity.agentId] }],
    publicKey: Buffer.from(request.value.spki),
    names: [{ type: "url", value: spiffeId(options.identity) }],
    usage: "clientAuth",
  });
  return accept(certificate);
}

/** A certificate request (PKCS #10, DER) that proves possession of the key. */
export async function createCsr(privateKey: string): Promise<Uint8Array> {
  const x509 = await certificateLibrary();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=falconry-agent",
    keys: cryptoKeys(privateKey),
    signingAlgorithm: ecdsa,
  });
  return new Uint8Array(request.rawData);
}

/** Reads a certificate request: its public key, and the pin by which a repeated request is known. */
export async function readCsr(der: Uint8Array): Promise<Checked<{ spki: Uint8Array; pin: string }>> {
  if (der.length > csrBytesMax) {
    return refuse(
      "trust/too-large",
      `certificate request has ${der.length} bytes; at most ${csrBytesMax} are accepted`,
    );
  }
  try {
    const x509 = await certificateLibrary();
    const request = new x509.Pkcs10CertificateRequest(Buffer.from(der));
    const spki = new Uint8Array(request.publicKey.rawData);
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
      return refuse(
        "trust/malformed",
        "certificate request is not for a P-256 key: make a new key for the agent",
      );
    }
    if (!(await request.verify())) {
      return refuse(
        "trust/bad-signature",
        "certificate request is not signed by its own key: no proof of possession",
      );
    }
    return accept({ spki, pin: pinOf(spki) });
  } catch (error) {
    return refuse(
      "trust/malformed",
      `certificate request cannot be read (PKCS #10 in DER expected): ${reasonOf(error)}`,
    );
  }
}

/** "sha256:" and the hash of the certificate's public key (SPKI, DER) in hex. */
export function spkiPin(certificate: Uint8Array): string {
  return pinOf(new Certificate(certificate).publicKey.export({ type: "spki", format: "der" }));
}

/** The same of a certificate as PEM. */
export function spkiPinOfPem(pem: string): string {
  return spkiPin(new Certificate(pem).raw);
}

function pinOf(spki: Uint8Array): string {
  return `sha256:${createHash("sha256").update(spki).digest("hex")}`;
}

/** A certificate in PEM, as TLS libraries want it. */
export function certificateToPem(der: Uint8Array): string {
  return new Certificate(der).toString();
}

/** The DER of every certificate in a PEM text. */
export function certificatesFromPem(pem: string): readonly Uint8Array[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new Uint8Array(new Certificate(block).raw));
}

interface Issue {
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly serialNumber: string;
  readonly subject: X509.JsonName;
  readonly publicKey: X509.PublicKeyType;
  readonly names: X509.JsonGeneralNames;
  readonly usage: "serverAuth" | "clientAuth";
}

async function issue(ca: CertifiedKey, { publicKey, names, usage, ...params }: Issue): Promise<Uint8Array> {
  const x509 = await certificateLibrary();
  const issuer = new x509.X509Certificate(Buffer.from(ca.certificate));
  const certificate = await x509.X509CertificateGenerator.create({
    ...params,
    issuer: issuer.subjectName,
    publicKey,
    signingKey: cryptoKeys(ca.privateKey).privateKey,
    signingAlgorithm: ecdsa,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[usage]]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

function validity(now: Date, lifetimeMs: number): Pick<Issue, "notBefore" | "notAfter" | "serialNumber"> {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40; // Positive, and always of the same length.
  return {
    notBefore: plus(now, -backdatedMs),
    notAfter: plus(now, lifetimeMs),
    serialNumber: serial.toString("hex"),
  };
}

function cryptoKeys(pem: string): webcrypto.CryptoKeyPair {
  const privateKey = createPrivateKey(pem);
  return {
    privateKey: privateKey.toCryptoKey(ecdsa, true, ["sign"]),
    publicKey: createPublicKey(privateKey).toCryptoKey(ecdsa, true, ["verify"]),
  };
}
