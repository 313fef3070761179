import { createPrivateKey, type KeyObject } from "node:crypto";

import { preAuthEncoding } from "./envelope.ts";
import { isSignedByP256, signP256 } from "./p256.ts";

/** What an agent may do about an alert. */
export const responseActions = ["webhook", "label", "isolate", "delete-pod"] as const;
export type ResponseAction = (typeof responseActions)[number];

export const responseType = "application/vnd.falconry.response-record";

/** Signs what an agent did about an alert with the agent's P-256 key, in PEM: 64 bytes, IEEE P1363. */
export function signResponse(privateKey: string, record: Uint8Array): Uint8Array {
  const key = createPrivateKey(privateKey);
  return signP256(key, preAuthEncoding(responseType, record));
}

/** Whether the key of an agent's certificate signed the record. */
export function isResponseSigned(key: KeyObject, record: Uint8Array, signature: Uint8Array): boolean {
  return isSignedByP256(key, preAuthEncoding(responseType, record), signature);
}
