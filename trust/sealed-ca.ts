import { createPrivateKey, createPublicKey, X509Certificate as Certificate } from "node:crypto";

import { spkiPin, type CertifiedKey } from "./certificates.ts";
import { accept, refuse, type Checked } from "./checked.ts";
import { openSealed, seal, type Seal } from "./seal.ts";

const purpose = "falconry: the key of the next CA, sealed by the key of the one before; version 1";

/**
 * Seals the private key of a new CA so that only who holds the key of the present one can open it. That is how servers
 * hand it to each other through a database that must not learn it.
 */
export function sealCaKey(next: CertifiedKey, by: CertifiedKey): Uint8Array {
  return seal(next.privateKey, sealOf(next.certificate, by));
}

/** Opens what {@link sealCaKey} sealed; refuses a key that is not the one of the certificate. */
export function openCaKey(
  sealed: Uint8Array,
  certificate: Uint8Array,
  by: CertifiedKey,
): Checked<CertifiedKey> {
  const privateKey = openSealed(sealed, sealOf(certificate, by));
  if (privateKey !== undefined && isKeyOf(privateKey, certificate)) {
    return accept({ certificate, privateKey });
  }
  return refuse(
    "trust/bad-signature",
    `The key of CA ${spkiPin(certificate)} cannot be opened with the key of CA ${spkiPin(by.certificate)}: it was sealed by another one, or altered`,
  );
}

function sealOf(certificate: Uint8Array, by: CertifiedKey): Seal {
  return { by: createPrivateKey(by.privateKey), purpose, bound: spkiPin(certificate) };
}

function isKeyOf(privateKey: string, certificate: Uint8Array): boolean {
  try {
    const own = createPublicKey(createPrivateKey(privateKey)).export({ type: "spki", format: "der" });
    return own.equals(
      Buffer.from(new Certificate(certificate).publicKey.export({ type: "spki", format: "der" })),
    );
  } catch {
    return false;
  }
}
