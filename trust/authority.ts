import { accept, refuse, type Checked } from "./checked.ts";
import { isList, isWholeNumber, memberOf, type Json } from "./json.ts";
import { keyFromJson, keyIdOf, keyMaterial, keyObject, shortId, type PublicKey } from "./keys.ts";
import type { Authority } from "./metadata.ts";

const keysMax = 64;

/**
 * Reads who may sign for a role: its `keyids` and `threshold` from `json`, the keys from `keys`. `from` is the metadata that
 * says so, such as "root 3". A key that has not the form of one counts for nothing.
 */
export function readAuthority(
  keys: Json | undefined,
  role: string,
  json: Json | undefined,
  from: string,
): Checked<Authority> {
  const ids = memberOf(json, "keyids");
  const threshold = memberOf(json, "threshold");
  if (!isListOfIds(ids)) {
    return refuse(
      "trust/malformed",
      `${from}: role ${role} has no list of at most ${keysMax} distinct key ids`,
    );
  }
  if (!isWholeNumber(threshold, 1)) {
    return refuse("trust/malformed", `${from}: role ${role} has no threshold of at least 1`);
  }
  const held = new Map<string, PublicKey>();
  for (const id of ids) {
    const key = keyFromJson(id, memberOf(keys, id));
    if (key !== undefined) held.set(id, key);
  }
  return accept({ keys: held, threshold, from });
}

function isListOfIds(ids: Json | undefined): ids is readonly string[] {
  if (!isList(ids) || ids.length > keysMax) return false;
  return ids.every((id) => typeof id === "string") && new Set(ids).size === ids.length;
}

/**
 * What a server demands of a role before it publishes the metadata that names it: keys that can be used, under their right
 * ids, and a threshold that can be met.
 */
export function checkAuthority(role: string, { keys, threshold, from }: Authority): Checked<true> {
  for (const key of keys.values()) {
    const usable = keyObject(key);
    if (!usable.ok) return usable;
    if (key.keyId !== keyIdOf(key)) {
      return refuse("trust/malformed", `${from}: key ${shortId(key.keyId)} should have id ${keyIdOf(key)}`);
    }
  }
  const distinct = new Set([...keys.values()].map(keyMaterial)).size;
  if (threshold <= distinct) return accept(true);
  const why = `role ${role} demands ${threshold} signatures and has ${distinct} keys`;
  return refuse("trust/threshold-not-met", `${from}: ${why}, so nothing can ever be signed for it`);
}
