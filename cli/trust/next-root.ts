import {
  followRoot,
  newRoot,
  type OnlineKeys,
  type PublicKey,
  readRoot,
  rootSpecOf,
  type RootSpec,
  type RootView,
  shortId,
} from "#trust";
import { misused, refused } from "../failure.ts";
import { orRefuse } from "./files.ts";
import { type OfflineRole, offlineRoles } from "./signers.ts";

/** What the next root is to say otherwise than the one before. */
export interface RootChange {
  readonly add?: readonly { readonly role: OfflineRole; readonly key: PublicKey }[];
  /** By key id, or by its first digits. */
  readonly remove?: readonly { readonly role: OfflineRole; readonly keyId: string }[];
  readonly thresholds?: Partial<Record<OfflineRole, number | undefined>>;
  readonly onlineKeys?: OnlineKeys | undefined;
  /** 365 days when absent, and when a draft is changed what the draft has left. */
  readonly lifetimeMs?: number | undefined;
}

export interface DraftedRoot {
  readonly root: Uint8Array;
  readonly view: RootView;
  /** Signatures of the draft that hold no longer, because what they signed has changed. */
  readonly dropped: number;
}

/** Makes the unsigned root after `present`, or changes a draft of it. */
export function draftRoot(
  present: RootView,
  draft: Uint8Array | undefined,
  change: RootChange,
  now: Date,
): DraftedRoot {
  const begun = draft === undefined ? undefined : readDraft(present, draft);
  const base = rootSpecOf(begun ?? present, now);
  const leftMs = begun === undefined ? undefined : begun.document.expires.getTime() - now.getTime();
  const lifetimeMs = change.lifetimeMs ?? leftMs;
  const spec: RootSpec = {
    ...base,
    version: present.version + 1,
    keys: { ...base.keys, ...offlineKeys(base, change), ...online(change.onlineKeys) },
    thresholds: {
      root: change.thresholds?.root ?? base.thresholds.root,
      targets: change.thresholds?.targets ?? base.thresholds.targets,
    },
    ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
  };
  checkThresholds(spec);
  const root = orRefuse(newRoot(spec));
  return { root, view: orRefuse(readRoot(root)), dropped: begun?.document.signatures.size ?? 0 };
}

function readDraft(present: RootView, draft: Uint8Array): RootView {
  const view = orRefuse(readRoot(draft));
  if (view.version === present.version + 1 && view.org === present.org) return view;
  throw refused(
    `The draft is root ${view.version} of org "${view.org ?? ""}"; the next one is root ${present.version + 1} of "${present.org ?? ""}"`,
    "Move the file away if it was published, or name another with --draft.",
  );
}

function offlineKeys(base: RootSpec, change: RootChange): Record<OfflineRole, readonly PublicKey[]> {
  const of = (role: OfflineRole): readonly PublicKey[] => {
    const keys = new Map(base.keys[role].map((key) => [key.keyId, key]));
    for (const { keyId } of (change.remove ?? []).filter((each) => each.role === role)) {
      keys.delete(findKey(role, [...keys.keys()], keyId));
    }
    for (const { key } of (change.add ?? []).filter((each) => each.role === role)) {
      if (keys.has(key.keyId)) {
        throw refused(
          `Key ${shortId(key.keyId)} is a ${role} key already, so it cannot be added`,
          "fleetctl trust status   shows the keys of each role",
        );
      }
      keys.set(key.keyId, key);
    }
    return [...keys.values()];
  };
  return { root: of("root"), targets: of("targets") };
}

function findKey(role: OfflineRole, ids: readonly string[], wanted: string): string {
  const found = /^[0-9a-f]{6,64}$/.test(wanted) ? ids.filter((id) => id.startsWith(wanted)) : [];
  const [id] = found;
  if (id !== undefined && found.length === 1) return id;
  throw misused(
    `"${wanted.slice(0, 80)}" names ${found.length} ${role} keys; the keys are ${ids.map(shortId).join(", ")}`,
    "Give the key id, or at least its first 6 digits.",
  );
}

function online(keys: OnlineKeys | undefined): Partial<RootSpec["keys"]> {
  if (keys === undefined) return {};
  const { snapshot, timestamp, assignment } = keys;
  return { snapshot: [snapshot], timestamp: [timestamp], assignment: [assignment] };
}

function checkThresholds({ version, keys, thresholds }: RootSpec): void {
  for (const role of offlineRoles) {
    const threshold = thresholds[role];
    if (threshold <= keys[role].length) continue;
    throw refused(
      `Root ${version} would demand ${threshold} ${role} signatures and name ${keys[role].length} ${role} keys, so nothing could be signed for it`,
      `fleetctl trust add-signer ${role} FILE   first, or a lower --threshold (rotate: --${role}-threshold)`,
    );
  }
}

/** What a root says otherwise than the one before it, a line each: what somebody signs who signs it. */
export function describeRootChange(present: RootView, next: RootView): readonly string[] {
  const lines: string[] = [];
  const ends = ({ document }: RootView) => document.expires.toISOString().slice(0, 10);
  if (ends(present) !== ends(next)) lines.push(`expires: ${ends(present)} -> ${ends(next)}`);
  const before = { ...present.roles, assignment: present.assignment };
  const after = { ...next.roles, assignment: next.assignment };
  for (const role of ["root", "targets", "snapshot", "timestamp", "assignment"] as const) {
    const [old, now] = [before[role], after[role]];
    for (const id of now?.keys.keys() ?? []) {
      if (old?.keys.has(id) !== true) lines.push(`${role}: + key ${id}`);
    }
    for (const id of old?.keys.keys() ?? []) {
      if (now?.keys.has(id) !== true) lines.push(`${role}: - key ${id}`);
    }
    if (old?.threshold !== now?.threshold) {
      lines.push(`${role}: ${old?.threshold ?? 0} -> ${now?.threshold ?? 0} signatures needed`);
    }
  }
  return lines.length > 0 ? lines : [`nothing but its expiry: ${next.document.expires.toISOString()}`];
}

/** Walks from the root that a folder trusts over the roots after it, each checked as agents check it. */
export function followRoots(trusted: Uint8Array, after: readonly Uint8Array[]): RootView {
  return after.reduce(
    (view, bytes) => {
      const next = orRefuse(readRoot(bytes));
      return next.version <= view.version ? view : orRefuse(followRoot(view, next));
    },
    orRefuse(readRoot(trusted)),
  );
}
