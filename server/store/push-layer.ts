import {
  checkNextLayerList,
  checkSignatures,
  findDelegation,
  readRoot,
  readTargets,
  type Document,
  type LayerDelegation,
  type LayerListView,
  type ListedLayer,
  type Refusal as TrustRefusal,
} from "#trust";

import { accept, refuse, type Outcome, type Refusal } from "../domain/refusal.ts";
import type { AuditNote } from "./audit-entries.ts";
import { insertBundle, listBundlesAt, type BundleRow } from "./bundles.ts";
import { param } from "./assignments.ts";
import { sql } from "./drizzle.ts";
import { markLayerListed } from "./layer-lists.ts";
import { isListed } from "./listed.ts";
import { findMetadata, insertMetadata, lockMetadata } from "./metadata.ts";
import { notifyChanged } from "./notify.ts";
import type { Database, Db, Transaction } from "./pool.ts";
import { Undo, type ReadyBundle } from "./push-bundles.ts";
import { signOnline, type Keyring } from "./sign-metadata.ts";

export interface LayerPush {
  readonly layer: string;
  readonly releases: readonly ReadyBundle[];
  /** Signed metadata of the layer's role. */
  readonly list: Uint8Array;
  readonly keyring: Pick<Keyring, "signersFor">;
  readonly pushedBy: string;
  readonly now: Date;
  readonly note: AuditNote;
  readonly refusalOf: (refusal: TrustRefusal) => Refusal;
}

/** The delegation of a layer by the targets that are published and that the present root's keys signed. */
export async function findLayerDelegation(
  db: Db,
  layer: string,
  refusalOf: LayerPush["refusalOf"],
): Promise<Outcome<LayerDelegation>> {
  const targets = await presentTargets(db, refusalOf);
  if (!targets.ok) return targets;
  const delegation = findDelegation(targets.value, layer);
  return delegation.ok ? accept(delegation.value) : refuse(refusalOf(delegation.refusal));
}

async function presentTargets(
  db: Db,
  refusalOf: LayerPush["refusalOf"],
): Promise<Outcome<Document<"targets">>> {
  const [root, targets] = [await findMetadata(db, "root"), await findMetadata(db, "targets")];
  if (root === undefined || targets === undefined) {
    const why =
      "No targets metadata has been published, so no layer is delegated: run fleetctl trust delegate first";
    return refuse({ kind: "precondition", why });
  }
  const trusted = readRoot(root.body);
  if (!trusted.ok) return refuse(refusalOf(trusted.refusal));
  const view = readTargets(targets.body);
  if (!view.ok) return refuse(refusalOf(view.refusal));
  const signed = checkSignatures(view.value.document, trusted.value.roles.targets);
  return signed.ok ? accept(signed.value) : refuse(refusalOf(signed.refusal));
}

/** So many bundles at most is a release tried on. */
const basesMax = 8;

/** The rules that the clusters of a layer are assigned, those of most clusters first; the newest that are released, when there are none. */
export async function readLayerBases(db: Db, { selector }: LayerDelegation): Promise<readonly Uint8Array[]> {
  const { rows } = await db.execute<{ content: Buffer }>(sql`
    select b.content from bundles b join (
      select a.rules_digest as digest, count(*) as clusters from assignments a join clusters c on c.id = a.cluster_id
      where c.retired_at is null and c.labels @> ${JSON.stringify(selector)}::jsonb group by a.rules_digest
    ) used on used.digest = b.digest order by used.clusters desc, b.digest limit ${basesMax}`);
  if (rows.length > 0) return rows.map(({ content }) => content);
  const newest = await db.execute<{ content: Buffer }>(sql`
    select content from bundles b where kind = 'rules' and ${isListed("b")} order by pushed_at desc, digest limit 1`);
  return newest.rows.map(({ content }) => content);
}

/**
 * Publishes the list of a layer with the releases that it names, and signs snapshot and timestamp over it: all or nothing. The
 * same again changes nothing. Answers with the pushed releases as stored.
 */
export async function pushLayer(db: Database, push: LayerPush): Promise<Outcome<readonly BundleRow[]>> {
  try {
    return accept(await db.transaction((tx) => pushIn(tx, push)));
  } catch (error) {
    if (error instanceof Undo) return refuse(error.refusal);
    throw error;
  }
}

async function pushIn(tx: Transaction, push: LayerPush): Promise<readonly BundleRow[]> {
  await lockMetadata(tx);
  const role = `layer-${push.layer}` as const;
  const targets = await presentTargets(tx, push.refusalOf);
  if (!targets.ok) throw new Undo(targets.refusal);
  const current = await findMetadata(tx, role);
  const checked = checkNextLayerList(targets.value, push.layer, current?.body, push.list, push.now);
  if (!checked.ok) throw new Undo(push.refusalOf(checked.refusal));
  const view = checked.value;
  const paths = [...view.listed.keys()];
  checkAllThere(view, await listBundlesAt(tx, paths), push);
  const version = BigInt(view.version);
  await storeReleases(tx, push, version);
  if (current === undefined || !Buffer.from(current.body).equals(push.list)) {
    const expiresAt = view.document.expires;
    await insertMetadata(tx, { role, version, body: push.list, expiresAt, publishedAt: push.now });
  }
  await markLayerListed(tx, push.layer, paths, version);
  const signed = await signOnline(tx, push.keyring, push.now);
  if (!signed.ok) throw new Undo(signed.refusal);
  await notifyChanged(tx);
  const pushed = await listBundlesAt(
    tx,
    push.releases.map(({ row }) => row.targetPath),
  );
  const names = pushed.map(({ name, version: of }) => `${name}@${of}`).toSorted();
  await push.note(tx, { target: [`${role} ${view.version}`, ...names].join(", ") });
  return pushed;
}

async function storeReleases(tx: Transaction, push: LayerPush, version: bigint): Promise<void> {
  const digests = push.releases.map(({ row }) => row.digest);
  const { rows } = await tx.execute<{ digest: string }>(sql`
    select digest from bundles where digest = any(${param(digests)}::text[])`);
  const there = new Set(rows.map(({ digest }) => digest));
  for (const { row, content } of push.releases) {
    if (there.has(row.digest)) continue;
    there.add(row.digest);
    const { now: pushedAt, pushedBy } = push;
    await insertBundle(tx, { ...row, content, targetsVersion: version, pushedAt, pushedBy });
  }
}

/** Every listed path is stored or comes along, with the very bytes; an agent must never be sent for what is missing. */
function checkAllThere(view: LayerListView, stored: readonly BundleRow[], push: LayerPush): void {
  const have = new Map(stored.map((row) => [row.targetPath, row.digest]));
  for (const { row } of push.releases) {
    const known = have.get(row.targetPath);
    if (known !== undefined && known !== row.digest) {
      const why = `it was pushed before with digest ${known}, this one has ${row.digest}: give the release a new version`;
      throw new Undo({ kind: "already-exists", what: "layer", id: `${row.name}@${row.version}`, why });
    }
    have.set(row.targetPath, row.digest);
  }
  const digestOf = ({ sha256 }: ListedLayer) => `sha256:${sha256}`;
  const missing = [...view.listed.values()].filter((each) => have.get(each.path) !== digestOf(each));
  if (missing.length === 0) return;
  const list = missing.slice(0, 5).map((each) => `${each.path} (${digestOf(each)})`);
  const why = `names releases that are neither pushed along nor stored here: ${list.join(", ")}. Push those, too`;
  throw new Undo({ kind: "invalid", problems: [{ field: "list", why }] });
}
