import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  randomBytes,
  X509Certificate as Certificate,
} from "node:crypto";

import { spkiPin, type CertifiedKey } from "./certificates.ts";
import { accept, refuse, type Checked } from "./checked.ts";

const cipher = "aes-256-gcm";
const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;
const purpose = "falconry: the key of the next CA, sealed by the key of the one before; version 1";

/**
 * Seals the private key of a new CA so that only who holds the key of the present one can open it. That is how servers
 * hand it to each other through a database that must not learn it.
 */
export function sealCaKey(next: CertifiedKey, by: CertifiedKey): Uint8Array {
  const salt = randomBytes(saltBytes);
  const nonce = randomBytes(nonceBytes);
  const sealer = createCipheriv(cipher, keyOf(by, salt), nonce);
  sealer.setAAD(Buffer.from(spkiPin(next.certificate)));
  const sealed = Buffer.concat([sealer.update(next.privateKey, "utf8"), sealer.final()]);
  return Buffer.concat([salt, nonce, sealer.getAuthTag(), sealed]);
}

/** Opens what {@link sealCaKey} sealed; refuses a key that is not the one of the certificate. */
export function openCaKey(
  sealed: Uint8Array,
  certificate: Uint8Array,
  by: CertifiedKey,
): Checked<CertifiedKey> {
  const pin = spkiPin(certificate);
  const bytes = Buffer.from(sealed);
  const salt = bytes.subarray(0, saltBytes);
  const nonce = bytes.subarray(saltBytes, saltBytes + nonceBytes);
  const body = saltBytes + nonceBytes + tagBytes;
  try {
    const opener = createDecipheriv(cipher, keyOf(by, salt), nonce, { authTagLength: tagBytes });
    opener.setAAD(Buffer.from(pin));
    opener.setAuthTag(bytes.subarray(saltBytes + nonceBytes, body));
    const privateKey = Buffer.concat([opener.update(bytes.subarray(body)), opener.final()]).toString("utf8");
    const own = createPublicKey(createPrivateKey(privateKey)).export({ type: "spki", format: "der" });
    if (own.equals(spkiOf(certificate))) return accept({ certificate, privateKey });
  } catch {
    // GCM says only that the tag does not fit, and what does not open is no key either.
  }
  return refuse(
    "trust/bad-signature",
    `The key of CA ${pin} cannot be opened with the key of CA ${spkiPin(by.certificate)}: it was sealed by another one, or altered`,
  );
}

function keyOf(by: CertifiedKey, salt: Uint8Array): Uint8Array {
  const secret = createPrivateKey(by.privateKey).export({ type: "pkcs8", format: "der" });
  return new Uint8Array(hkdfSync("sha256", secret, salt, purpose, 32));
}

function spkiOf(certificate: Uint8Array): Buffer {
  return Buffer.from(new Certificate(certificate).publicKey.export({ type: "spki", format: "der" }));
}
