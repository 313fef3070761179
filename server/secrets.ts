import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

import { idBytes, makeId, type IdNoun, type Ids } from "./domain/ids.ts";

/** A fresh random id of a noun. */
export function newId<N extends IdNoun>(noun: N): Ids[N] {
  return makeId(noun, randomBytes(idBytes));
}

/** 256 random bits as 43 URL-safe characters, and the hash that is all we keep of them. */
export function newSecret(): { readonly secret: string; readonly hash: Uint8Array } {
  const secret = randomBytes(32).toString("base64url");
  return { secret, hash: hashSecret(secret) };
}

/** A plain hash is enough: the secret has 256 random bits, so there is nothing to guess. */
export function hashSecret(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}

/** Compares in constant time. */
export function isSecret(secret: string, hash: Uint8Array): boolean {
  return hash.length === 32 && timingSafeEqual(hashSecret(secret), hash);
}
