import type { AuditHead, ExportAuditResponse } from "#proto/fleet/v1/audit";
import {
  auditAuthority,
  auditHeadType,
  createAuditVerifier,
  rootPin,
  type AuditVerdict,
  type AuditVerifier,
  type Envelope,
} from "#trust";
import { refused } from "../failure.ts";

/** What came out of a verification, and how much there was to verify with. */
export interface VerifiedLog extends AuditVerdict {
  readonly org: string;
  readonly heads: number;
  readonly carried: number;
  /** The first root that the log came with; empty before there is one. */
  readonly rootPin: string;
}

/**
 * Recomputes the chain of an export and compares it with everything that was signed over it. `anchor` is a root that the
 * caller holds: without it the roots are taken as they come.
 */
export async function verifyExport(
  parts: AsyncIterable<ExportAuditResponse>,
  anchor?: Uint8Array,
): Promise<VerifiedLog> {
  let open: { readonly verifier: AuditVerifier; readonly org: string; readonly rootPin: string } | undefined;
  let heads = 0;
  let carried = 0;
  for await (const part of parts) {
    open ??= begin(part, anchor);
    const { verifier } = open;
    for (const head of part.heads) {
      heads += 1;
      verifier.head({ envelope: envelopeOf(head) });
    }
    for (const { cluster, agent, head } of part.carried) {
      carried += 1;
      verifier.head({ envelope: envelopeOf(head), agent: `agent "${agent}" of cluster "${cluster}"` });
    }
    if (part.end !== undefined) {
      verifier.tip(Number(part.end.sequence), Buffer.from(part.end.hash).toString("hex"));
    }
    const isWhole = part.rows.every(({ sequence, previous, body, hash }) =>
      verifier.row({ sequence: Number(sequence), previous, body, hash }),
    );
    if (!isWhole) break;
  }
  if (open === undefined) {
    throw refused("The log came without its first part: it is no export, or was cut off");
  }
  return { ...open.verifier.end(), org: open.org, heads, carried, rootPin: open.rootPin };
}

function begin({ org, roots }: ExportAuditResponse, anchor: Uint8Array | undefined) {
  const authority = auditAuthority(roots, anchor);
  if (!authority.ok) {
    const { code, message } = authority.refusal;
    throw refused(`The trust roots that came with the log do not hold: ${message} (${code})`);
  }
  const [first] = roots;
  const pin = first === undefined ? "" : rootPin(first);
  return { verifier: createAuditVerifier(org, authority.value), org, rootPin: pin };
}

function envelopeOf(head: AuditHead | undefined): Envelope {
  const { payload = new Uint8Array(), keyId = "", signature = new Uint8Array() } = head ?? {};
  return { payloadType: auditHeadType, payload, signatures: [{ keyId, signature }] };
}
