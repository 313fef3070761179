import { certificateToPem, createCa, issueServerCertificate } from "#trust";

/** A CA of its own with a server certificate for loopback, PEM. `chain` is what a server shows: leaf, then CA. */
export interface FakeTls {
  readonly ca: string;
  readonly chain: string;
  readonly key: string;
}

/** Makes a fresh CA and a certificate by it for the given names. */
export async function fakeTls(names: readonly string[] = ["localhost", "127.0.0.1"]): Promise<FakeTls> {
  const now = new Date();
  const ca = await createCa({ now, org: "fake" });
  const leaf = await issueServerCertificate({ ca, names, now });
  const caPem = certificateToPem(ca.certificate);
  return { ca: caPem, chain: certificateToPem(leaf.certificate) + caPem, key: leaf.privateKey };
}
