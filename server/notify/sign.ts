import { createHmac, createPrivateKey, sign } from "node:crypto";

import type { Secrets } from "../domain/notify/receiver.ts";

/**
 * Headers that prove to a webhook that a message is ours and of now: over `v1:TIMESTAMP:BODY`, by HMAC-SHA256 in hex or by Ed25519 in
 * base64. `nowMs` is the time of the attempt.
 */
export function signatureOf(body: string, secrets: Secrets, nowMs: number): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signed = Buffer.from(`v1:${timestamp}:${body}`);
  const { hmac, ed25519 } = secrets;
  const signature =
    ed25519 === undefined
      ? `v1=${createHmac("sha256", hmac ?? "")
          .update(signed)
          .digest("hex")}`
      : `ed25519=${sign(null, signed, createPrivateKey(ed25519)).toString("base64")}`;
  return { "falconry-timestamp": timestamp, "falconry-signature": signature };
}

/** Why a secret for signing cannot be used; undefined when it can. */
export function signingProblem({ ed25519 }: Secrets): string | undefined {
  if (ed25519 === undefined) return undefined;
  try {
    const { asymmetricKeyType: type } = createPrivateKey(ed25519);
    return type === "ed25519" ? undefined : `is a key of type ${type ?? "unknown"}, not ed25519`;
  } catch {
    return "is no private key";
  }
}
