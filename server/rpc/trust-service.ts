import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  OnlineKeySchema,
  RoleStatusSchema,
  type OnlineKey,
  type RoleStatus,
  type TrustService,
} from "#proto/fleet/v1/trust";
import {
  checkNextRoot,
  layerOfRole,
  readRoot,
  roleNames,
  shortId,
  type Authority,
  type RootView,
} from "#trust";

import type { Permission } from "../domain/permission.ts";
import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import { findMetadata, insertMetadata, lockMetadata, type MetadataRow } from "../store/metadata.ts";
import { notifyChanged } from "../store/notify.ts";
import type { AuditNote } from "../store/audit-entries.ts";
import type { Database, Db, Transaction } from "../store/pool.ts";
import type { StoredRole } from "../store/schema.ts";
import { onlineRoles, signOnline, type Keyring, type OnlineSigners } from "../store/sign-metadata.ts";
import { countTrustHolders } from "../store/trust-holders.ts";
import type { Audit } from "./audit.ts";
import { scopeOf } from "./caller.ts";
import { fromTrust } from "../trust-refusal.ts";
import { toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const trustPermissions = {
  getTrust: "trust:read",
  publishRoot: "trust:write",
  prepareOnlineKeys: "trust:write",
  getMetadata: "trust:read",
} satisfies Record<keyof (typeof TrustService)["method"], Permission>;

export interface TrustServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  readonly keyring: Keyring;
  readonly now: () => Date;
}

export function trustService(options: TrustServiceOptions): ServiceImpl<typeof TrustService> {
  const { db, org, audit, keyring } = options;
  return {
    async getTrust(_request, context) {
      const view = await presentRoot(db);
      const onlineKeys = keysOf(keyring.signersFor(view));
      if (view === undefined) return { org, onlineKeys, roles: [] };
      const waiting = keyring.waiting(view);
      const roles: RoleStatus[] = [];
      for (const role of roleNames) {
        const row = await findMetadata(db, role);
        if (row !== undefined) roles.push(statusOf(row, view.roles[role]));
      }
      const waitingKeys = waiting === undefined ? [] : keysOf(waiting);
      return {
        org,
        onlineKeys,
        roles,
        waitingKeys,
        holders: [...(await countTrustHolders(db, scopeOf(context)))],
      };
    },
    async prepareOnlineKeys(request, context) {
      const note = audit.note(context, request);
      const onlineKeys = keysOf(prepareKeys(keyring, await presentRoot(db)));
      const target = onlineKeys.map(({ keyId }) => shortId(keyId)).join(", ");
      await db.transaction((tx) => note(tx, { target }));
      return { onlineKeys };
    },
    async publishRoot(request, context) {
      const note = audit.note(context, request);
      const published = await db.transaction(async (tx) => publish(tx, options, request.root, note));
      const { row, view } = orRefuse(published);
      return { root: statusOf(row, view.roles.root) };
    },
    async getMetadata(request) {
      const role = roleNames.find((known) => known === request.role) ?? layerRoleIn(request.role);
      if (role === undefined) {
        const why = `"${request.role.slice(0, 80)}" is none of ${roleNames.join(", ")}, layer-NAME`;
        return orRefuse(invalid("role", why));
      }
      const row = await findMetadata(db, role);
      if (row === undefined) return orRefuse(refuse({ kind: "not-found", what: "metadata", id: role }));
      return { metadata: row.body, version: row.version };
    },
  };
}

function layerRoleIn(text: string): StoredRole | undefined {
  const layer = layerOfRole(text);
  return layer === undefined ? undefined : `layer-${layer}`;
}

function prepareKeys(keyring: Keyring, view: RootView | undefined): OnlineSigners {
  try {
    return keyring.prepare(view);
  } catch (error) {
    // A state directory that is a read-only mount, or a full disk: the operator's to mend.
    const why = `New online keys cannot be written to the state directory: ${(error as Error).message}. Make room or make it writable, then try again`;
    return orRefuse(refuse({ kind: "unavailable", why }));
  }
}

/** The root that is published now. */
async function presentRoot(db: Db): Promise<RootView | undefined> {
  const row = await findMetadata(db, "root");
  if (row === undefined) return undefined;
  const view = readRoot(row.body);
  if (view.ok) return view.value;
  throw new Error(view.refusal.message);
}

function keysOf(signers: OnlineSigners): OnlineKey[] {
  return onlineRoles.map((role) => {
    const { keyId, keyval } = signers[role].publicKey;
    return create(OnlineKeySchema, { role, keyId, publicKey: keyval.public });
  });
}

async function publish(
  tx: Transaction,
  { org, keyring, now }: TrustServiceOptions,
  bytes: Uint8Array,
  note: AuditNote,
): Promise<Outcome<{ readonly row: MetadataRow; readonly view: RootView }>> {
  await lockMetadata(tx);
  const at = now();
  const current = await findMetadata(tx, "root");
  // The set that the new root names; when it names none of ours, the refusal speaks of the one that signs now.
  const next = readRoot(bytes);
  const signers = keyring.signersFor(next.ok ? next.value : undefined);
  const onlineKeys = {
    snapshot: signers.snapshot.publicKey,
    timestamp: signers.timestamp.publicKey,
    assignment: signers.assignment.publicKey,
  };
  const checked = checkNextRoot(current?.body, bytes, onlineKeys, at);
  if (!checked.ok) return refuse(fromTrust("root", checked.refusal));
  const view = checked.value;
  if (view.org !== org) {
    return refuse({
      kind: "precondition",
      why: `The root is for the org "${view.org ?? ""}"; this server is of "${org}"`,
    });
  }
  const named = { target: `root ${view.version}` };
  if (current !== undefined && Buffer.from(current.body).equals(bytes)) {
    await note(tx, named);
    return accept({ row: current, view });
  }
  const row = {
    role: "root" as const,
    version: BigInt(view.version),
    body: bytes,
    expiresAt: view.document.expires,
    publishedAt: at,
  };
  await insertMetadata(tx, row);
  // A root with other online keys makes what they signed before worthless.
  orRefuse(await signOnline(tx, keyring, at));
  await notifyChanged(tx);
  await note(tx, named);
  return accept({ row: { ...row, changed: 0n }, view });
}

function statusOf(row: MetadataRow, authority: Authority): RoleStatus {
  return create(RoleStatusSchema, {
    role: row.role,
    version: row.version,
    expiresAt: toTimestamp(row.expiresAt),
    threshold: authority.threshold,
    keyIds: [...authority.keys.keys()],
  });
}
