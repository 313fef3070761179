import { auditLink } from "./audit.ts";
import { accept, quote, refuse, type Checked } from "./checked.ts";
import { signEnvelope, verifyEnvelope, type Envelope } from "./envelope.ts";
import { canonicalJson, isObject, isWholeNumber, readJson, unknownKeys } from "./json.ts";
import type { Signer } from "./keys.ts";
import type { Authority } from "./metadata.ts";
import { isName, isSha256 } from "./names.ts";
import { formatTime, parseTime } from "./time.ts";
import { viewTrusted, type Trusted } from "./trusted.ts";

export const auditHeadType = "application/vnd.falconry.audit-head+json";

/** Where the audit log of an organisation ended at a time. Signed by the key that signs timestamps. */
export interface AuditHead {
  readonly org: string;
  readonly sequence: number;
  /** The hash of the row of that sequence, 64 hex digits. */
  readonly hash: string;
  /** Whole seconds. */
  readonly time: Date;
}

/** The most digests that follow one head to the next; whoever signs heads signs one at least so often. */
export const auditLinksMax = 4_096;

export async function signAuditHead(head: AuditHead, signer: Signer): Promise<Envelope> {
  const { org, sequence, hash } = head;
  const payload = Buffer.from(canonicalJson({ org, sequence, hash, time: formatTime(head.time) }));
  return signEnvelope(auditHeadType, payload, [signer]);
}

/** Reads what a head says; nothing is verified. */
export function readAuditHead(payload: Uint8Array): Checked<AuditHead> {
  const json = readJson(payload, { what: "audit head", bytesMax: 1024, depthMax: 1 });
  if (!json.ok) return json;
  const { value } = json;
  const malformed = refuse("trust/malformed", "audit head has no org, sequence, hash and time");
  if (!isObject(value) || unknownKeys(value, ["org", "sequence", "hash", "time"]).length > 0) {
    return malformed;
  }
  const { org, sequence, hash } = value;
  const time = parseTime(value["time"]);
  if (!isName(org) || !isWholeNumber(sequence, 1) || !isSha256(hash) || time === undefined) return malformed;
  return accept({ org, sequence, hash, time });
}

/** A head that one of the authority's keys signed. */
export function verifyAuditHead(envelope: Envelope, authority: Authority): Checked<AuditHead> {
  const payload = verifyEnvelope(envelope, auditHeadType, authority);
  return payload.ok ? readAuditHead(payload.value) : payload;
}

/** A head that the root held as trusted lets the server sign, of this organisation. */
export function verifyTrustedHead(trusted: Trusted, envelope: Envelope, org: string): Checked<AuditHead> {
  const view = viewTrusted(trusted);
  if (!view.ok) return view;
  const head = verifyAuditHead(envelope, view.value.root.roles.timestamp);
  if (!head.ok || head.value.org === org) return head;
  const seen = `audit head ${head.value.sequence} is of org ${quote(head.value.org)}`;
  return refuse("trust/wrong-org", `${seen}; this agent belongs to ${quote(org)}`);
}

/** How a head stands to the one that was known before. */
export type AuditStep = "first" | "same" | "newer" | "older" | "went-back" | "forked" | "unproved";

/**
 * Judges a verified head against the one that is held. `links` are the digests of the entries from some row at or before
 * the one held up to the new head: only when they lead from the one to the other is it the same log, grown.
 */
export function judgeAuditHead(
  held: AuditHead | undefined,
  head: AuditHead,
  links: readonly Uint8Array[],
): AuditStep {
  if (held === undefined || held.org !== head.org) return "first";
  if (head.sequence < held.sequence) return "went-back";
  if (head.sequence === held.sequence) {
    if (head.hash !== held.hash) return "forked";
    return head.time.getTime() > held.time.getTime() ? "same" : "older";
  }
  const missing = head.sequence - held.sequence;
  if (links.length < missing) return "unproved";
  let hash: Uint8Array = Buffer.from(held.hash, "hex");
  for (const digest of links.slice(links.length - missing)) hash = auditLink(hash, digest);
  return Buffer.from(hash).toString("hex") === head.hash ? "newer" : "forked";
}
