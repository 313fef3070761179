import { mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import writeFileAtomic from "write-file-atomic";
import type { AuditUpdate } from "#proto/agent/v1/agent";
import { auditHeadType, judgeAuditHead, readAuditHead, verifyTrustedHead } from "#trust";
import type { AuditHead, AuditStep, Checked, Envelope, Trusted } from "#trust";
import { AgentError } from "./agent-error.ts";

/** A head of the audit log, and the envelope that proves that the server signed it. */
export interface HeldHead {
  readonly head: AuditHead;
  readonly envelope: Envelope;
}

/**
 * The newest head of the server's audit log that the agent has seen: a witness that the server cannot reach. It only
 * moves to heads that provably follow, and is on disk before it counts.
 */
export interface AuditHeadStore {
  get(): HeldHead | undefined;
  /** Verifies a head against what is trusted, judges it against the one held, and keeps it when it follows. */
  take(update: AuditUpdate, trusted: Trusted): Checked<AuditStep>;
}

/** One head per organisation, as text: an agent that joins another fleet does not take its log for the same. */
type Stored = Readonly<
  Record<string, { readonly payload: string; readonly keyId: string; readonly signature: string }>
>;

export function openAuditHead(path: string, org: string): AuditHeadStore {
  let stored = read(path);
  let held = heldIn(stored, org, path);
  return {
    get: () => held,
    take: ({ head: message, links }, trusted) => {
      const envelope = {
        payloadType: message?.payloadType ?? "",
        payload: message?.payload ?? new Uint8Array(),
        signatures: (message?.signatures ?? []).map(({ keyId, signature }) => ({ keyId, signature })),
      };
      const head = verifyTrustedHead(trusted, envelope, org);
      if (!head.ok) return head;
      const step = judgeAuditHead(held?.head, head.value, links);
      const [signature] = envelope.signatures;
      if ((step === "first" || step === "same" || step === "newer") && signature !== undefined) {
        stored = { ...stored, [org]: textOf(envelope.payload, signature) };
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        writeFileAtomic.sync(path, JSON.stringify(stored), { mode: 0o600 });
        held = { head: head.value, envelope: { ...envelope, signatures: [signature] } };
      }
      return { ok: true, value: step };
    },
  };
}

function textOf(payload: Uint8Array, { keyId, signature }: Envelope["signatures"][number]): Stored[string] {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  return { payload: text(payload), keyId, signature: text(signature) };
}

function read(path: string): Stored {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
  try {
    return JSON.parse(text) as Stored;
  } catch {
    throw damaged(path);
  }
}

function heldIn(stored: Stored, org: string, path: string): HeldHead | undefined {
  const own = Object.hasOwn(stored, org) ? stored[org] : undefined;
  if (own === undefined) return undefined;
  const payload = Buffer.from(own.payload, "base64");
  const head = readAuditHead(payload);
  if (!head.ok) throw damaged(path);
  const { keyId } = own;
  const signature = Buffer.from(own.signature, "base64");
  return {
    head: head.value,
    envelope: { payloadType: auditHeadType, payload, signatures: [{ keyId, signature }] },
  };
}

function damaged(path: string): AgentError {
  return new AgentError(
    "state/damaged",
    `${path} cannot be read as heads of the audit log: restore it, or remove it to take the next head on trust`,
  );
}
