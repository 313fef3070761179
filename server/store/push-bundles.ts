import {
  checkNextTargets,
  digestOfTarget,
  type ListedTarget,
  type TargetsView,
  type Refusal as TrustRefusal,
} from "#trust";

import { accept, refuse, type Outcome, type Refusal } from "../domain/refusal.ts";
import type { AuditNote } from "./audit-entries.ts";
import { insertBundle, listBundlesAt, markListed, type BundleRow } from "./bundles.ts";
import { findMetadata, insertMetadata, lockMetadata } from "./metadata.ts";
import { relistLayers } from "./layer-lists.ts";
import { notifyChanged } from "./notify.ts";
import type { Database, Transaction } from "./pool.ts";
import { signOnline, type Keyring } from "./sign-metadata.ts";

/** A bundle that was read, checked and found to load. */
export interface ReadyBundle {
  readonly row: Omit<BundleRow, "targetsVersion" | "pushedAt" | "pushedBy">;
  readonly content: Uint8Array;
}

export interface Push {
  readonly bundles: readonly ReadyBundle[];
  /** Signed targets metadata. */
  readonly targets: Uint8Array;
  readonly keyring: Pick<Keyring, "signersFor">;
  readonly pushedBy: string;
  readonly now: Date;
  readonly note: AuditNote;
  /** Puts what the trust room refused into the server's words. */
  readonly refusalOf: (refusal: TrustRefusal) => Refusal;
}

/** Carries a refusal out of the transaction, so that everything in it is undone. */
export class Undo extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super("The transaction is undone");
    this.refusal = refusal;
  }
}

/**
 * Publishes targets metadata with the bundles that it lists, and signs snapshot and timestamp over it: all or nothing.
 * The same again changes nothing. Answers with the pushed bundles as stored.
 */
export async function pushBundles(db: Database, push: Push): Promise<Outcome<readonly BundleRow[]>> {
  try {
    return accept(await db.transaction((tx) => pushIn(tx, push)));
  } catch (error) {
    if (error instanceof Undo) return refuse(error.refusal);
    throw error;
  }
}

async function pushIn(tx: Transaction, push: Push): Promise<readonly BundleRow[]> {
  await lockMetadata(tx);
  const root = await findMetadata(tx, "root");
  if (root === undefined) {
    const why = "No trust root has been published, so nothing can be checked: run fleetctl trust init first";
    throw new Undo({ kind: "precondition", why });
  }
  const current = await findMetadata(tx, "targets");
  const checked = checkNextTargets(root.body, current?.body, push.targets, push.now);
  if (!checked.ok) throw new Undo(push.refusalOf(checked.refusal));
  const view = checked.value;
  const stored = await listBundlesAt(tx, [...view.listed.keys()]);
  const paths = push.bundles.map(({ row }) => row.targetPath);
  checkAllThere(view, stored, push);
  const version = BigInt(view.version);
  for (const { row, content } of push.bundles) {
    if (stored.some((each) => each.digest === row.digest)) continue;
    const { now: pushedAt, pushedBy } = push;
    await insertBundle(tx, { ...row, content, targetsVersion: version, pushedAt, pushedBy });
  }
  const isSame = current !== undefined && Buffer.from(current.body).equals(push.targets);
  if (!isSame) {
    await markListed(tx, [...view.listed.keys()], version);
    await insertMetadata(tx, {
      role: "targets",
      version,
      body: push.targets,
      expiresAt: view.document.expires,
      publishedAt: push.now,
    });
  }
  if (!isSame) await relistLayers(tx, view.document, push.now);
  const signed = await signOnline(tx, push.keyring, push.now);
  if (!signed.ok) throw new Undo(signed.refusal);
  await notifyChanged(tx);
  const pushed = await listBundlesAt(tx, paths);
  const names = pushed.map(({ name, version: of }) => `${name}@${of}`).toSorted();
  await push.note(tx, { target: [`targets ${view.version}`, ...names].join(", ") });
  return pushed;
}

/** Every listed path is stored or comes along, with the very bytes; an agent must never be sent for what is missing. */
function checkAllThere(view: TargetsView, stored: readonly BundleRow[], push: Push): void {
  const have = new Map(stored.map((row) => [row.targetPath, row.digest]));
  for (const { row } of push.bundles) {
    const known = have.get(row.targetPath);
    if (known !== undefined && known !== row.digest) {
      const why = `it was pushed before with digest ${known}, this one has ${row.digest}: give the bundle a new version`;
      throw new Undo({ kind: "already-exists", what: "bundle", id: `${row.name}@${row.version}`, why });
    }
    have.set(row.targetPath, row.digest);
  }
  const missing = [...view.listed.values()].filter(
    (target: ListedTarget) => have.get(target.path) !== digestOfTarget(target),
  );
  if (missing.length === 0) return;
  const list = missing.slice(0, 5).map((target) => `${target.path} (${digestOfTarget(target)})`);
  const why = `lists bundles that are neither pushed along nor stored here: ${list.join(", ")}. Push those bundles too`;
  throw new Undo({ kind: "invalid", problems: [{ field: "targets", why }] });
}
