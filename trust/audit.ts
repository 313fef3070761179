import { createHash } from "node:crypto";

import { accept, quote, refuse, type Checked } from "./checked.ts";
import { canonicalJson, isObject, isWholeNumber, readJson, type Json } from "./json.ts";

/** Who did something. */
export interface AuditActor {
  readonly kind: "operator" | "agent" | "join-token" | "issuer" | "server" | "command";
  readonly id: string;
  readonly name: string;
  /** The role that an operator had then; empty for the others. */
  readonly role: string;
}

/** One thing that was done, or refused. */
export interface AuditEntry {
  readonly org: string;
  /** From 1, without gaps. */
  readonly sequence: number;
  /** UTC with milliseconds, by the clock of the server. */
  readonly time: string;
  /** The server that wrote it. */
  readonly server: string;
  readonly actor: AuditActor;
  readonly method: string;
  /** What it was done to. */
  readonly target: string;
  /** What was asked for, without secrets. */
  readonly request: Readonly<Record<string, string>>;
  /** "ok", or the code of the refusal. */
  readonly outcome: string;
  /** Why it was refused; empty when it was not. */
  readonly why: string;
}

/** An entry as it is stored and exported. What is hashed is the text, byte for byte, so nobody has to write it again. */
export interface AuditRow {
  readonly sequence: number;
  /** The hash of the row before, 32 bytes. */
  readonly previous: Uint8Array;
  /** The entry as canonical JSON. */
  readonly body: string;
  readonly hash: Uint8Array;
}

export const auditBodyBytesMax = 32 * 1024;
/** What the first row follows on. */
export const auditGenesis: Uint8Array = new Uint8Array(32);

const hashPrefix = Buffer.from("falconry audit row v1\n");

/** What stands for an entry in the chain: whoever has only these can still follow the chain. */
export function auditDigest(body: string): Uint8Array {
  return createHash("sha256").update(body).digest();
}

/** The hash of a row: over the hash of the row before and the digest of its own body. */
export function auditLink(previous: Uint8Array, digest: Uint8Array): Uint8Array {
  return createHash("sha256").update(hashPrefix).update(previous).update(digest).digest();
}

/** The row that an entry becomes after another. */
export function auditRow(entry: AuditEntry, previous: Uint8Array): AuditRow {
  const { actor, ...rest } = entry;
  const { kind, id, name, role } = actor;
  const body = canonicalJson({ ...rest, request: { ...entry.request }, actor: { kind, id, name, role } });
  return { sequence: entry.sequence, previous, body, hash: auditLink(previous, auditDigest(body)) };
}

const texts = ["org", "time", "server", "method", "target", "outcome", "why"] as const;

/** Reads the body of a row. Says nothing about whether it is what was written. */
export function readAuditEntry(body: string): Checked<AuditEntry> {
  const what = "audit entry";
  const json = readJson(Buffer.from(body), { what, bytesMax: auditBodyBytesMax, depthMax: 3 });
  if (!json.ok) return json;
  const malformed = (why: string) => refuse("trust/malformed", `${what} ${why}`);
  const { value } = json;
  if (!isObject(value)) return malformed("is not an object");
  const { sequence, actor, request } = value;
  if (!isWholeNumber(sequence, 1)) return malformed("has no sequence from 1");
  if (!isTexts(actor, ["kind", "id", "name", "role"])) return malformed("has no actor");
  if (!isTexts(request, [])) return malformed("has no request of texts");
  const broken = texts.find((field) => typeof value[field] !== "string");
  if (broken !== undefined) return malformed(`has no ${quote(broken)}`);
  // Checked field by field above; the kind of an actor is only shown.
  return accept(value as unknown as AuditEntry);
}

function isTexts(value: Json | undefined, wanted: readonly string[]): boolean {
  return (
    isObject(value) &&
    wanted.every((key) => key in value) &&
    Object.values(value).every((each) => typeof each === "string")
  );
}
