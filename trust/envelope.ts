import { accept, quote, refuse, type Checked } from "./checked.ts";
import { isSignedBy, keyMaterial, shortId, type Signer } from "./keys.ts";
import type { Authority } from "./metadata.ts";

/** A signed document in the manner of DSSE; the shape of the wire message of the same name. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signatures: readonly { readonly keyId: string; readonly signature: Uint8Array }[];
}

export const payloadBytesMax = 1024 * 1024;
const signaturesMax = 16;

/** What is signed instead of the payload alone, so that a signature never holds for another type. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = Buffer.from(payloadType);
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} `),
    type,
    Buffer.from(` ${payload.length} `),
    payload,
  ]);
}

export async function signEnvelope(
  payloadType: string,
  payload: Uint8Array,
  signers: readonly Signer[],
): Promise<Envelope> {
  const data = preAuthEncoding(payloadType, payload);
  const signatures: Envelope["signatures"][number][] = [];
  for (const signer of signers) {
    signatures.push({ keyId: signer.publicKey.keyId, signature: await signer.sign(data) });
  }
  return { payloadType, payload, signatures };
}

/** Gives the payload when it is of the type and enough of the authority's keys signed it. */
export function verifyEnvelope(
  envelope: Envelope,
  payloadType: string,
  authority: Authority,
): Checked<Uint8Array> {
  const { payload, signatures } = envelope;
  if (envelope.payloadType !== payloadType) {
    return refuse(
      "trust/malformed",
      `envelope holds ${quote(envelope.payloadType)}; expected ${payloadType}`,
    );
  }
  if (payload.length > payloadBytesMax || signatures.length > signaturesMax) {
    return refuse(
      "trust/too-large",
      `envelope has ${payload.length} bytes and ${signatures.length} signatures; at most ${payloadBytesMax} and ${signaturesMax} are accepted`,
    );
  }
  const data = preAuthEncoding(payloadType, payload);
  const valid = new Set<string>();
  const seen = signatures.map(({ keyId }) => quote(shortId(keyId))).join(", ");
  for (const { keyId, signature } of signatures) {
    const key = authority.keys.get(keyId);
    if (key !== undefined && isSignedBy(key, data, signature)) valid.add(keyMaterial(key));
  }
  if (valid.size >= authority.threshold) return accept(payload);
  const known = signatures.some(({ keyId }) => authority.keys.has(keyId));
  return refuse(
    signatures.length > 0 && !known ? "trust/unknown-key" : "trust/threshold-not-met",
    `${payloadType} carries ${valid.size} of the ${authority.threshold} valid signatures that ${authority.from} demands from ` +
      `keys ${[...authority.keys.keys()].map(shortId).join(", ")} (signed by: ${seen === "" ? "nobody" : seen})`,
  );
}
