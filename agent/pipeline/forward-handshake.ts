import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { encode } from "@msgpack/msgpack";

/** What both sides know, or should. */
export interface Credentials {
  readonly sharedKey: string;
  readonly user: string;
  readonly password: string;
  readonly selfHostname: string;
}

/** What a server says first. */
export interface Helo {
  readonly nonce: Uint8Array;
  /** The salt for the password; empty when no user is asked for. */
  readonly auth: Uint8Array;
  readonly keepsConnection: boolean;
}

/** Our answer, and what the server's has to hold. */
export interface Ping {
  readonly message: Uint8Array;
  readonly salt: string;
}

/** Reads HELO; undefined when it is something else. */
export function readHelo(message: unknown): Helo | undefined {
  if (!Array.isArray(message) || textOf(message[0]) !== "HELO" || !isMap(message[1])) return undefined;
  const { nonce, auth, keepalive } = message[1];
  if (!(nonce instanceof Uint8Array)) return undefined;
  return {
    nonce,
    auth: auth instanceof Uint8Array ? auth : new Uint8Array(),
    keepsConnection: keepalive !== false,
  };
}

/** Proves that we know the key and, if asked for, the password. */
export function makePing({ nonce, auth }: Helo, credentials: Credentials): Ping {
  const { sharedKey, user, password, selfHostname } = credentials;
  // Text, so that servers that expect a string and those that expect bytes read the same.
  const salt = randomBytes(16).toString("hex");
  const isAsked = auth.length > 0;
  const message = encode([
    "PING",
    selfHostname,
    salt,
    digest(salt, selfHostname, nonce, sharedKey),
    isAsked ? user : "",
    isAsked ? digest(auth, user, password) : "",
  ]);
  return { message, salt };
}

/**
 * Why PONG does not prove that the server knows the key, or undefined when it does. A server that calls itself as we do
 * could have sent us back our own proof.
 */
export function pongProblem(
  message: unknown,
  { nonce }: Helo,
  { salt }: Ping,
  { sharedKey, selfHostname }: Credentials,
): string | undefined {
  if (!Array.isArray(message) || textOf(message[0]) !== "PONG") return "it answered something else than PONG";
  const [, isWelcome, reason, hostname, proof] = message as unknown[];
  if (isWelcome !== true) {
    return `it refuses us: ${(textOf(reason) ?? "").slice(0, 300) || "without a reason"}`;
  }
  const server = textOf(hostname) ?? "";
  if (server === selfHostname) {
    return `it calls itself "${server}", as we do: give one of both another name with "self_hostname"`;
  }
  const expected = Buffer.from(digest(salt, server, nonce, sharedKey));
  const given = Buffer.from(textOf(proof) ?? "");
  const isProven = given.length === expected.length && timingSafeEqual(given, expected);
  return isProven ? undefined : "it does not know our shared_key";
}

/** The chunk that an answer acknowledges. */
export function readAck(message: unknown): string | undefined {
  return isMap(message) ? textOf(message["ack"]) : undefined;
}

function digest(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha512");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

function textOf(value: unknown): string | undefined {
  return value instanceof Uint8Array ? Buffer.from(value).toString("utf8") : undefined;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  );
}
