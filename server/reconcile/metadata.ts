import { sentence } from "../domain/refusal.ts";
import type { AuditNote } from "../store/audit-entries.ts";
import { lockMetadata } from "../store/metadata.ts";
import { notifyChanged } from "../store/notify.ts";
import type { Database } from "../store/pool.ts";
import { signOnline, type Keyring } from "../store/sign-metadata.ts";

/**
 * Keeps snapshot and timestamp fresh: without it agents would refuse the fleet's metadata a day after the last push.
 * Several servers may run it; the lock lets one look at a time, and who comes later finds nothing due. Answers with the
 * roles that were signed.
 */
export async function keepMetadata(
  db: Database,
  keyring: Pick<Keyring, "signersFor">,
  now: () => Date,
  note: AuditNote,
): Promise<readonly string[]> {
  return db.transaction(async (tx) => {
    await lockMetadata(tx);
    const signed = await signOnline(tx, keyring, now());
    if (!signed.ok) throw new Error(sentence(signed.refusal));
    if (signed.value.length === 0) return signed.value;
    await notifyChanged(tx);
    await note(tx, { target: signed.value.join(", ") });
    return signed.value;
  });
}
