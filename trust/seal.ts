import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, type KeyObject } from "node:crypto";

const cipher = "aes-256-gcm";
const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;

/** What a sealed text is for, and by whom: who opens it has to say the same. */
export interface Seal {
  /** A private key; whoever holds it can open what it sealed. */
  readonly by: KeyObject;
  readonly purpose: string;
  /** What the text belongs to, so that it cannot be put elsewhere. */
  readonly bound: string;
}

/** Seals a text (AES-256-GCM with a key of its own, by HKDF from the private key and a fresh salt). */
export function seal(text: string, { by, purpose, bound }: Seal): Uint8Array {
  const salt = randomBytes(saltBytes);
  const nonce = randomBytes(nonceBytes);
  const sealer = createCipheriv(cipher, keyOf(by, salt, purpose), nonce);
  sealer.setAAD(Buffer.from(bound));
  const sealed = Buffer.concat([sealer.update(text, "utf8"), sealer.final()]);
  return Buffer.concat([salt, nonce, sealer.getAuthTag(), sealed]);
}

/** Opens what {@link seal} sealed; undefined when it was sealed by another key or for something else, or was altered. */
export function openSealed(sealed: Uint8Array, { by, purpose, bound }: Seal): string | undefined {
  const bytes = Buffer.from(sealed);
  const salt = bytes.subarray(0, saltBytes);
  const nonce = bytes.subarray(saltBytes, saltBytes + nonceBytes);
  const body = saltBytes + nonceBytes + tagBytes;
  try {
    const opener = createDecipheriv(cipher, keyOf(by, salt, purpose), nonce, { authTagLength: tagBytes });
    opener.setAAD(Buffer.from(bound));
    opener.setAuthTag(bytes.subarray(saltBytes + nonceBytes, body));
    return Buffer.concat([opener.update(bytes.subarray(body)), opener.final()]).toString("utf8");
  } catch {
    // GCM says only that the tag does not fit.
    return undefined;
  }
}

function keyOf(by: KeyObject, salt: Uint8Array, purpose: string): Uint8Array {
  const secret = by.export({ type: "pkcs8", format: "der" });
  return new Uint8Array(hkdfSync("sha256", secret, salt, purpose, 32));
}
