import {
  auditDigest,
  auditHeadType,
  auditLinksMax,
  readAuditHead,
  type AuditHead,
  type Envelope,
} from "#trust";

import { listAuditRows } from "../store/audit-entries.ts";
import { envelopeOf, findAuditHead, type AuditHeadRow } from "../store/audit-heads.ts";
import type { Db } from "../store/pool.ts";

/** The head of the audit log that an agent says it holds. */
export interface KnownHead {
  readonly sequence: bigint;
  readonly hash: Uint8Array;
  readonly timeMs: number;
}

/** A head for an agent, with what leads to it from the one that it holds. */
export interface HeadUpdate {
  readonly envelope: Envelope;
  readonly links: readonly Uint8Array[];
}

/** What agents are told about the audit log. */
export interface AuditBook {
  /** Undefined when the agent holds the newest head, or when there is none. */
  updateFor(known: KnownHead | undefined): Promise<HeadUpdate | undefined>;
}

/** The newest head is read again so often at most. */
const freshMs = 2_000;
/** Of so many different heads that agents hold, what leads on from them is kept. */
const proofsMax = 64;

interface Newest {
  readonly row: AuditHeadRow;
  readonly head: AuditHead;
}

export function createAuditBook(db: Db, org: string, clock: () => Date): AuditBook {
  let read: { readonly atMs: number; readonly newest: Promise<Newest | undefined> } | undefined;
  const proofs = new Map<string, Promise<HeadUpdate>>();

  function newest(isStale: (newest: Newest) => boolean): Promise<Newest | undefined> {
    const nowMs = clock().getTime();
    if (read === undefined || Math.abs(nowMs - read.atMs) > freshMs) {
      read = { atMs: nowMs, newest: load(db, org) };
    }
    const current = read.newest;
    return current.then(
      (found) => (found !== undefined && isStale(found) ? load(db, org) : found),
      (error: unknown) => {
        read = undefined;
        throw error;
      },
    );
  }
  function prove(known: KnownHead, to: Newest): Promise<HeadUpdate> {
    const key = `${known.sequence} ${to.row.sequence} ${to.row.signedAt.getTime()}`;
    const there = proofs.get(key);
    if (there !== undefined) return there;
    const made = lead(db, org, known.sequence, to.row);
    proofs.set(key, made);
    made.catch(() => proofs.delete(key));
    const [oldest] = proofs.keys();
    if (proofs.size > proofsMax && oldest !== undefined) proofs.delete(oldest);
    return made;
  }
  return {
    updateFor: async (known) => {
      // What an agent got from another server a moment ago is no reason to say that the log went back.
      const isStale = ({ head }: Newest) => known !== undefined && BigInt(head.sequence) < known.sequence;
      const found = await newest(isStale);
      if (found === undefined) return undefined;
      const { row, head } = found;
      if (known === undefined) return bare(row);
      if (row.sequence > known.sequence) return prove(known, found);
      const isSame = row.sequence === known.sequence && Buffer.from(head.hash, "hex").equals(known.hash);
      return isSame && head.time.getTime() <= known.timeMs ? undefined : bare(row);
    },
  };
}

async function load(db: Db, org: string): Promise<Newest | undefined> {
  const row = await findAuditHead(db, org);
  if (row === undefined) return undefined;
  const head = readAuditHead(row.payload);
  // Agents have to be spoken with all the same; the loop that signs heads says what is wrong.
  return head.ok ? { row, head: head.value } : undefined;
}

function bare(row: AuditHeadRow): HeadUpdate {
  return { envelope: envelopeOf(row, auditHeadType), links: [] };
}

/** As far as one message takes an agent; what it lacks then comes with the next. */
async function lead(db: Db, org: string, from: bigint, newest: AuditHeadRow): Promise<HeadUpdate> {
  const reach = from + BigInt(auditLinksMax);
  const near = newest.sequence <= reach ? newest : await findAuditHead(db, org, reach);
  const to = near !== undefined && near.sequence > from ? near : newest;
  const rows = await listAuditRows(db, org, from, Math.min(Number(to.sequence - from), auditLinksMax));
  return { envelope: envelopeOf(to, auditHeadType), links: rows.map(({ body }) => auditDigest(body)) };
}
