import { auditDigest, auditGenesis, auditLink, readAuditEntry, type AuditRow } from "./audit.ts";
import { verifyAuditHead } from "./audit-head.ts";
import { accept, refuse, type Checked } from "./checked.ts";
import type { Envelope } from "./envelope.ts";
import type { PublicKey } from "./keys.ts";
import { checkSignatures, type Authority } from "./metadata.ts";
import { followRoot, readRoot, type RootView } from "./root.ts";

/** What was done to a log. */
export type AuditFault = "edited" | "deleted" | "reordered" | "truncated" | "forked" | "bad-head";

export interface AuditProblem {
  readonly fault: AuditFault;
  /** The first row that is not what it was, or that is missing. */
  readonly sequence: number;
  /** The last row that it may be; the same when it is known exactly. */
  readonly through: number;
  readonly why: string;
}

export interface AuditVerdict {
  /** How many rows were read before the end or the first fault in the chain. */
  readonly rows: number;
  /** The newest row that a signed head vouches for. */
  readonly signedThrough: number;
  /** First row first; empty when the log is whole. */
  readonly problems: readonly AuditProblem[];
  /** What was seen and proves nothing, in words. */
  readonly notes: readonly string[];
}

/** A head that the server signed, and who keeps it. */
export interface SignedHead {
  readonly envelope: Envelope;
  /** The agent that carries it, in words; absent for the server's own list. */
  readonly agent?: string;
}

/**
 * Takes a log in: what vouches for it first, then the rows from the first one on. The order matters: heads that were read
 * before the rows can only be about rows that were there already.
 */
export interface AuditVerifier {
  head(head: SignedHead): void;
  /** Where the database says that the log ends; nobody signed that. */
  tip(sequence: number, hash: string): void;
  /** False when the chain is broken at this row: those that follow say nothing any more. */
  row(row: AuditRow): boolean;
  end(): AuditVerdict;
}

interface Witness {
  readonly sequence: number;
  readonly hash: string;
  readonly from: string;
  readonly isSigned: boolean;
  /** When it was signed; for ever when nobody did. */
  readonly timeMs: number;
}

/** The keys that may have signed heads: those for timestamps of every root of the chain, which has to hold `anchor`. */
export function auditAuthority(roots: readonly Uint8Array[], anchor?: Uint8Array): Checked<Authority> {
  const keys = new Map<string, PublicKey>();
  let before: RootView | undefined;
  for (const bytes of roots) {
    const read = readRoot(bytes);
    if (!read.ok) return read;
    const follows =
      before === undefined
        ? checkSignatures(read.value.document, read.value.roles.root)
        : followRoot(before, read.value);
    if (!follows.ok) return follows;
    for (const [id, key] of read.value.roles.timestamp.keys) keys.set(id, key);
    before = read.value;
  }
  if (anchor !== undefined && !roots.some((root) => Buffer.from(root).equals(anchor))) {
    return refuse("trust/wrong-pin", "the root that you hold is none of the roots that came with the log");
  }
  return accept({ keys, threshold: 1, from: `one of ${roots.length} roots` });
}

export function createAuditVerifier(org: string, authority: Authority): AuditVerifier {
  const witnesses = new Map<number, Witness[]>();
  const problems: AuditProblem[] = [];
  const notes: string[] = [];
  let rows = 0;
  let last: Uint8Array = auditGenesis;
  const agreed: { readonly sequence: number; readonly timeMs: number }[] = [];
  /** The first witness that the rows contradict. */
  let contradicted: Witness | undefined;
  let isBroken = false;

  const add = (witness: Witness): void => {
    const there = witnesses.get(witness.sequence) ?? [];
    there.push(witness);
    witnesses.set(witness.sequence, there);
  };
  return {
    head: ({ envelope, agent }) => {
      const head = verifyAuditHead(envelope, authority);
      const from = agent === undefined ? "the server's signed head" : `the signed head that ${agent} carries`;
      if (head.ok && head.value.org === org) {
        const { sequence, hash, time } = head.value;
        return add({ sequence, hash, from, isSigned: true, timeMs: time.getTime() });
      }
      const why = head.ok ? `it is of org "${head.value.org}"` : head.refusal.message;
      if (agent !== undefined) return void notes.push(`${from} does not count: ${why}`);
      problems.push(badHead(envelope, why));
    },
    tip: (sequence, hash) => {
      const timeMs = Number.POSITIVE_INFINITY;
      add({ sequence, hash, from: "the stored end of the chain", isSigned: false, timeMs });
    },
    row: (row) => {
      if (isBroken) return false;
      const fault = judgeRow(row, rows + 1, last, org);
      if (fault !== undefined) {
        problems.push(fault);
        isBroken = true;
        return false;
      }
      rows = row.sequence;
      last = row.hash;
      const hash = Buffer.from(row.hash).toString("hex");
      for (const witness of witnesses.get(rows) ?? []) {
        if (witness.hash !== hash) contradicted ??= witness;
        else if (witness.isSigned) agreed.push({ sequence: rows, timeMs: witness.timeMs });
      }
      return true;
    },
    end: () => {
      if (contradicted !== undefined) problems.push(contradiction(contradicted, agreed));
      const beyond = [...witnesses.values()].flat().filter(({ sequence }) => sequence > rows);
      const furthest = beyond.toSorted((a, b) => b.sequence - a.sequence)[0];
      if (!isBroken && furthest !== undefined) problems.push(truncation(rows, furthest));
      const sorted = problems.toSorted((a, b) => a.sequence - b.sequence);
      return { rows, signedThrough: agreed.at(-1)?.sequence ?? 0, problems: sorted, notes };
    },
  };
}

function badHead({ payload }: Envelope, why: string): AuditProblem {
  // What it says is shown although nothing vouches for it: that is where to look.
  const found = /"sequence":(\d{1,15})/.exec(Buffer.from(payload).toString("latin1"))?.[1];
  const sequence = Number(found ?? 0);
  return {
    fault: "bad-head",
    sequence,
    through: sequence,
    why: `the stored head of row ${sequence} does not verify: ${why}`,
  };
}

/** The first fault that a row shows by itself and with the row before it. */
function judgeRow(row: AuditRow, expected: number, last: Uint8Array, org: string): AuditProblem | undefined {
  const { sequence } = row;
  const at = (fault: AuditFault, first: number, through: number, why: string): AuditProblem => ({
    fault,
    sequence: first,
    through,
    why,
  });
  if (sequence > expected) {
    const which =
      sequence - 1 === expected ? `row ${expected} is` : `rows ${expected} to ${sequence - 1} are`;
    return at("deleted", expected, sequence - 1, `${which} missing between ${expected - 1} and ${sequence}`);
  }
  if (sequence < expected) {
    return at("reordered", sequence, sequence, `row ${sequence} comes after row ${expected - 1}`);
  }
  const entry = readAuditEntry(row.body);
  if (entry.ok && entry.value.sequence !== sequence) {
    const why = `row ${sequence} holds the entry that was written as row ${entry.value.sequence}`;
    return at("reordered", sequence, sequence, why);
  }
  if (!Buffer.from(auditLink(row.previous, auditDigest(row.body))).equals(row.hash)) {
    return at("edited", sequence, sequence, `row ${sequence} is not what its hash was made of`);
  }
  if (!Buffer.from(row.previous).equals(last)) {
    if (sequence === 1) return at("edited", 1, 1, "row 1 follows on something before the first row");
    const why = `row ${sequence - 1} was replaced: row ${sequence} still remembers another hash of it`;
    return at("edited", sequence - 1, sequence - 1, why);
  }
  if (!entry.ok) {
    return at("edited", sequence, sequence, `row ${sequence} cannot be read: ${entry.refusal.message}`);
  }
  if (entry.value.org !== org) {
    const why = `row ${sequence} is of org "${entry.value.org}", the log is of "${org}"`;
    return at("edited", sequence, sequence, why);
  }
  return undefined;
}

/** The chain is whole in itself, but it is not the chain that was vouched for. */
function contradiction(
  { sequence, hash, from, isSigned, timeMs }: Witness,
  agreed: readonly { readonly sequence: number; readonly timeMs: number }[],
): AuditProblem {
  const isForked = isSigned && agreed.some((each) => each.sequence >= sequence);
  // A head that was signed later may be of the other branch, so that it fits proves nothing about the rows before.
  const shared = agreed.filter((each) => each.sequence < sequence && each.timeMs <= timeMs);
  const after = shared.at(-1)?.sequence ?? 0;
  const seen = `${from} gives row ${sequence} the hash ${hash.slice(0, 12)}…, the log has another`;
  const why = isForked
    ? `${seen}, which the server signed as well: the log went on from an older copy of itself`
    : `${seen}: the rows were written anew together with their hashes`;
  return { fault: isForked ? "forked" : "edited", sequence: after + 1, through: sequence, why };
}

function truncation(rows: number, { sequence, from }: Witness): AuditProblem {
  const why = `the log ends with row ${rows}, ${from} is of row ${sequence}`;
  return { fault: "truncated", sequence: rows + 1, through: sequence, why };
}
