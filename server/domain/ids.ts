import { accept, invalid, type Outcome } from "./refusal.ts";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type ClusterId = Branded<"cluster">;
export type AgentId = Branded<"agent">;
export type RolloutId = Branded<"rollout">;
export type BacktestId = Branded<"backtest">;
export type JoinTokenId = Branded<"join token">;
export type ApiTokenId = Branded<"API token">;
export type IssuerId = Branded<"issuer">;
export type AlertGroupId = Branded<"alert group">;
export type SilenceId = Branded<"silence">;
export type DeliveryId = Branded<"delivery">;
/** "sha256:" and 64 lower-case hex digits. */
export type Digest = Branded<"digest">;

/** The prefix that every id of a noun carries on the wire. */
export const idPrefixes = {
  cluster: "cl",
  agent: "ag",
  rollout: "ro",
  backtest: "bt",
  "join token": "jt",
  "API token": "at",
  issuer: "is",
  "alert group": "gr",
  silence: "si",
  delivery: "nd",
} as const;

export type IdNoun = keyof typeof idPrefixes;

/** Which branded id a noun has. */
export interface Ids {
  readonly cluster: ClusterId;
  readonly agent: AgentId;
  readonly rollout: RolloutId;
  readonly backtest: BacktestId;
  readonly "join token": JoinTokenId;
  readonly "API token": ApiTokenId;
  readonly issuer: IssuerId;
  readonly "alert group": AlertGroupId;
  readonly silence: SilenceId;
  readonly delivery: DeliveryId;
}

/** How many random bytes `makeId` wants: 80 bits, which encode to 16 letters without padding. */
export const idBytes = 10;

// Lower-case base32 without the letters that are taken for digits: fits a file name, a URL and a SPIFFE path.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** An id from fresh random bytes, which are an argument so that this stays pure. */
export function makeId<N extends IdNoun>(noun: N, random: Uint8Array): Ids[N] {
  if (random.length !== idBytes) throw new RangeError(`An id takes ${idBytes} random bytes`);
  let bits = 0n;
  for (const byte of random) bits = (bits << 8n) | BigInt(byte);
  let text = "";
  for (let i = 0; i < (idBytes * 8) / 5; i += 1) {
    text = `${alphabet[Number(bits & 31n)] ?? ""}${text}`;
    bits >>= 5n;
  }
  return `${idPrefixes[noun]}_${text}` as Ids[N];
}

/** Whether a text looks like an id of the noun; a name of a cluster never does, because names have no underscore. */
export function isId<N extends IdNoun>(noun: N, text: string): text is Ids[N] {
  const prefix = `${idPrefixes[noun]}_`;
  return text.startsWith(prefix) && /^[0-9a-z]{1,32}$/.test(text.slice(prefix.length));
}

/** Refuses what is no id of the noun, naming the field it came in. */
export function parseId<N extends IdNoun>(noun: N, field: string, text: string): Outcome<Ids[N]> {
  if (isId(noun, text)) return accept(text);
  return invalid(field, `"${excerpt(text)}" is no ${noun} id, which looks like ${idPrefixes[noun]}_...`);
}

/** Refuses what is no digest, naming the field it came in. */
export function parseDigest(field: string, text: string): Outcome<Digest> {
  if (isDigest(text)) return accept(text);
  return invalid(field, `"${excerpt(text)}" is no digest, which is "sha256:" and 64 hex digits`);
}

export function isDigest(text: string): text is Digest {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}

/** The digest of 32 raw bytes as the agent protocol carries them; undefined for any other length. */
export function digestFromBytes(bytes: Uint8Array): Digest | undefined {
  if (bytes.length !== 32) return undefined;
  let digest = "sha256:";
  for (const byte of bytes) digest += hexOfByte[byte] ?? "";
  return digest as Digest;
}

const hexOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** The 32 raw bytes of a digest. */
export function digestBytes(digest: Digest): Uint8Array<ArrayBuffer> {
  const hex = digest.slice("sha256:".length);
  return Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

/** Foreign text cut short, so that a refusal never echoes a megabyte. */
export function excerpt(text: string, charsMax: number = 80): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax)}...`;
}
