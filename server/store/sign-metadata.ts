import {
  checkSignatures,
  isHalfOver,
  newSnapshot,
  newTimestamp,
  parseMetadata,
  readRoot,
  shortId,
  signMetadata,
  lifetimesMs,
  type Authority,
  type Checked,
  type OnlineSpec,
  type RootView,
  type SigningKey,
} from "#trust";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { listLayerVersions, readLayerLists } from "./layer-lists.ts";
import { findMetadata, insertMetadata, type MetadataRow } from "./metadata.ts";
import type { Transaction } from "./pool.ts";

export const onlineRoles = ["snapshot", "timestamp", "assignment"] as const;

/** One set of keys that a server signs with; root metadata names them. */
export type OnlineSigners = Readonly<Record<(typeof onlineRoles)[number], SigningKey>>;

/** All sets of online keys that a server holds. */
export interface Keyring {
  /** The newest set that the root names; the oldest when it names none, or there is no root yet. */
  signersFor(root: RootView | undefined): OnlineSigners;
  /** The newest set, when the root does not name it: it waits for the next root. */
  waiting(root: RootView | undefined): OnlineSigners | undefined;
  /** The set for the next root: the one that waits, or a new one. */
  prepare(root: RootView | undefined): OnlineSigners;
  /** The assignment key of this id, of whatever set; undefined when this server does not hold it. */
  assignmentKey(keyId: string): SigningKey | undefined;
}

interface OnlineRole {
  readonly role: "snapshot" | "timestamp";
  /** What it has to pin: versions by file. */
  readonly pins: ReadonlyMap<string, bigint>;
  readonly make: (spec: OnlineSpec) => Promise<Checked<Uint8Array>>;
  readonly lifetimeMs: number;
}

/**
 * Signs snapshot and timestamp again where they pin something older, half of their life is over, or the root named
 * other keys since. Answers with the roles that it signed. Nothing to do without root and targets. The caller holds the
 * metadata lock. Refuses when the root does not name this server's keys: what they sign, no agent would take.
 */
export async function signOnline(
  tx: Transaction,
  keyring: Pick<Keyring, "signersFor">,
  now: Date,
): Promise<Outcome<readonly string[]>> {
  const root = await findMetadata(tx, "root");
  const targets = await findMetadata(tx, "targets");
  if (root === undefined || targets === undefined) return accept([]);
  const view = orBug(readRoot(root.body));
  const signers = keyring.signersFor(view);
  for (const role of ["snapshot", "timestamp"] as const) {
    const key = signers[role].publicKey.keyId;
    if (view.roles[role].keys.has(key)) continue;
    const why =
      `Root ${view.version} does not name this server's ${role} key ${shortId(key)}: give this server the state ` +
      "directory that holds the right keys, or publish a root with this server's keys (fleetctl trust rotate --online-keys)";
    return refuse({ kind: "precondition", why });
  }
  const signed: string[] = [];
  const renew = async (online: OnlineRole): Promise<MetadataRow> => {
    const current = await findMetadata(tx, online.role);
    if (current !== undefined && !isDue(current, online, view.roles[online.role], now)) return current;
    signed.push(online.role);
    return sign(tx, current, online, signers[online.role], now);
  };
  const lists = await listLayerVersions(tx);
  const snapshot = await renew({
    role: "snapshot",
    pins: new Map([
      ["targets.json", targets.version],
      ...lists.map(([role, of]) => [`${role}.json`, of] as const),
    ]),
    make: async (spec) => newSnapshot(targets.body, spec, await readLayerLists(tx)),
    lifetimeMs: lifetimesMs.snapshot,
  });
  await renew({
    role: "timestamp",
    pins: new Map([["snapshot.json", snapshot.version]]),
    make: async (spec) => newTimestamp(snapshot.body, spec),
    lifetimeMs: lifetimesMs.timestamp,
  });
  return accept(signed);
}

function isDue(current: MetadataRow, online: OnlineRole, authority: Authority, now: Date): boolean {
  if (isHalfOver(current.expiresAt, online.lifetimeMs, now)) return true;
  const document = orBug(parseMetadata(online.role, current.body));
  if (!checkSignatures(document, authority).ok) return true;
  const meta = document.signed["meta"] as Readonly<Record<string, { readonly version?: number }>> | undefined;
  return [...online.pins].some(([file, version]) => BigInt(meta?.[file]?.version ?? 0) !== version);
}

async function sign(
  tx: Transaction,
  current: MetadataRow | undefined,
  online: OnlineRole,
  signer: SigningKey,
  now: Date,
): Promise<MetadataRow> {
  const version = (current?.version ?? 0n) + 1n;
  const unsigned = orBug(await online.make({ version: Number(version), now }));
  const body = orBug(await signMetadata(unsigned, [signer]));
  const { expires } = orBug(parseMetadata(online.role, body));
  const row = { role: online.role, version, body, expiresAt: expires, publishedAt: now };
  await insertMetadata(tx, row);
  return { ...row, changed: 0n };
}

/** Metadata that we made or checked before we stored it can be read; if not, it is our bug. */
function orBug<T>(checked: Checked<T>): T {
  if (checked.ok) return checked.value;
  throw new Error(`${checked.refusal.code}: ${checked.refusal.message}`);
}
