import {
  auditDigest,
  auditGenesis,
  auditLink,
  auditLinksMax,
  readAuditHead,
  readRoot,
  shortId,
  signAuditHead,
  type AuditRow,
  type Signer,
} from "#trust";

import { findAuditEnd, listAuditRows } from "../store/audit-entries.ts";
import { findAuditHead, insertAuditHead, type AuditHeadRow } from "../store/audit-heads.ts";
import { findMetadata } from "../store/metadata.ts";
import type { Database } from "../store/pool.ts";
import type { Keyring } from "../store/sign-metadata.ts";

/** A head is signed anew so often, also when nothing happened: so everybody knows that nothing did. */
export const auditHeadMs = 15 * 60_000;
/** How often it is looked whether the log grew. */
export const auditHeadsEveryMs = 2_000;

export interface AuditHeadPorts {
  readonly db: Database;
  readonly org: string;
  /** Heads are signed with the key of the timestamp role. */
  readonly keyring: Pick<Keyring, "signersFor">;
  readonly now: () => Date;
}

/**
 * Signs where the audit log ends, when it grew or the last head is old. Follows the chain from the last head first: what
 * was rewritten since is never signed. Answers with the sequence of the head, if one was signed.
 */
export async function signAuditHeads(ports: AuditHeadPorts): Promise<bigint | undefined> {
  const { db, org, keyring, now } = ports;
  const end = await findAuditEnd(db, org);
  if (end === undefined || end.sequence === 0n) return undefined;
  const last = await findAuditHead(db, org);
  const isOld = last === undefined || now().getTime() - last.signedAt.getTime() >= auditHeadMs;
  if (end.sequence === last?.sequence && !isOld) return undefined;
  const root = await findMetadata(db, "root");
  // Before there is a root nobody could verify a head.
  if (root === undefined) return undefined;
  const signer = timestampKey(root.body, keyring);
  const { sequence, hash } = await follow(ports, last);
  const isNew = last === undefined || sequence > last.sequence;
  if (!isNew && !isOld) return undefined;
  const signedAt = new Date(Math.floor(now().getTime() / 1000) * 1000);
  const head = { org, sequence: Number(sequence), hash: Buffer.from(hash).toString("hex"), time: signedAt };
  const { payload, signatures } = await signAuditHead(head, signer);
  const [signature] = signatures;
  if (signature === undefined) throw new Error("An envelope came without a signature");
  await insertAuditHead(db, { org, sequence, signedAt, payload, ...signature });
  return sequence;
}

/** A head that nobody can verify would make the log look tampered with. */
function timestampKey(root: Uint8Array, keyring: Pick<Keyring, "signersFor">): Signer {
  const view = readRoot(root);
  if (!view.ok) throw new Error(view.refusal.message);
  const signer = keyring.signersFor(view.value).timestamp;
  const { keyId } = signer.publicKey;
  if (view.value.roles.timestamp.keys.has(keyId)) return signer;
  throw new Error(
    `No head of the audit log is signed: the root does not name this server's timestamp key ${shortId(keyId)}`,
  );
}

/** The row that the next head is about: the last one, or as far as agents can follow in one step. */
async function follow({ db, org }: AuditHeadPorts, last: AuditHeadRow | undefined) {
  const from = last === undefined ? undefined : readAuditHead(last.payload);
  if (from?.ok === false) {
    throw new Error(`The last head of the audit log cannot be read: ${from.refusal.message}`);
  }
  let sequence = from?.value.sequence ?? 0;
  let hash: Uint8Array = from === undefined ? auditGenesis : Buffer.from(from.value.hash, "hex");
  const changed = () =>
    new Error(
      `The audit log is not what was signed at row ${sequence}, or does not go on from there: run fleetctl audit verify. No head is signed until it does`,
    );
  const rows = await listAuditRows(db, org, BigInt(Math.max(0, sequence - 1)), auditLinksMax + 1);
  const signed = sequence === 0 ? undefined : rows[0];
  if (sequence > 0 && !(signed?.sequence === sequence && Buffer.from(signed.hash).equals(hash))) {
    throw changed();
  }
  for (const row of rows.slice(signed === undefined ? 0 : 1, auditLinksMax)) {
    if (!continues(row, sequence, hash)) throw changed();
    ({ sequence, hash } = row);
  }
  return { sequence: BigInt(sequence), hash };
}

function continues(row: AuditRow, sequence: number, hash: Uint8Array): boolean {
  const link = auditLink(hash, auditDigest(row.body));
  return row.sequence === sequence + 1 && Buffer.from(link).equals(row.hash);
}
