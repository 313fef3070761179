import { sign, verify, type KeyObject } from "node:crypto";

/** Bytes of a signature by a P-256 key as it travels: both of its numbers in full (IEEE P1363). */
export const p256SignatureLength = 64;

const numberLength = p256SignatureLength / 2;
const [sequence, integer] = [0x30, 0x02];

/** Signs with a P-256 key: 64 bytes. */
export function signP256(key: KeyObject, data: Uint8Array): Uint8Array {
  return fromDer(sign("sha256", data, key));
}

/**
 * Whether the key signed the data. The platform is given its own form of a signature (DER), with nothing but a key beside it: asked for the
 * form that travels, it makes two errors with their stacks at each call, which takes half as long as the signature.
 */
export function isSignedByP256(key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === p256SignatureLength && verify("sha256", data, key, toDer(signature));
}

function toDer(signature: Uint8Array): Uint8Array {
  const der = new Uint8Array(p256SignatureLength + 8);
  let at = 2;
  for (const from of [0, numberLength]) {
    const end = from + numberLength;
    let first = from;
    while (first < end - 1 && signature[first] === 0) first += 1;
    // A number whose first bit is set would be negative.
    const isLong = (signature[first] ?? 0) >= 0x80;
    der[at] = integer;
    der[at + 1] = end - first + (isLong ? 1 : 0);
    at += isLong ? 3 : 2;
    der.set(signature.subarray(first, end), at);
    at += end - first;
  }
  der[0] = sequence;
  der[1] = at - 2;
  return der.subarray(0, at);
}

/** Of what the platform has made, whose lengths all fit one byte. */
function fromDer(der: Uint8Array): Uint8Array {
  const signature = new Uint8Array(p256SignatureLength);
  let at = 2;
  for (const to of [numberLength, p256SignatureLength]) {
    const end = at + 2 + (der[at + 1] ?? 0);
    const digits = der.subarray(Math.max(at + 2, end - numberLength), end);
    signature.set(digits, to - digits.length);
    at = end;
  }
  return signature;
}
