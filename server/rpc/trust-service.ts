import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { OnlineKeySchema, RoleStatusSchema, type RoleStatus, type TrustService } from "#proto/fleet/v1/trust";
import { checkNextRoot, readRoot, roleNames, type Authority, type RootView } from "#trust";

import type { Permission } from "../domain/permission.ts";
import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import { findMetadata, insertMetadata, lockMetadata, type MetadataRow } from "../store/metadata.ts";
import { notifyChanged } from "../store/notify.ts";
import type { AuditNote } from "../store/audit-entries.ts";
import type { Database, Transaction } from "../store/pool.ts";
import { signOnline, type OnlineSigners } from "../store/sign-metadata.ts";
import type { Audit } from "./audit.ts";
import { fromTrust, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const trustPermissions = {
  getTrust: "trust:read",
  publishRoot: "trust:write",
  getMetadata: "trust:read",
} satisfies Record<keyof (typeof TrustService)["method"], Permission>;

export interface TrustServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  readonly signers: OnlineSigners;
  readonly now: () => Date;
}

export function trustService(options: TrustServiceOptions): ServiceImpl<typeof TrustService> {
  const { db, org, audit, signers } = options;
  return {
    async getTrust() {
      const onlineKeys = (["snapshot", "timestamp", "assignment"] as const).map((role) => {
        const { keyId, keyval } = signers[role].publicKey;
        return create(OnlineKeySchema, { role, keyId, publicKey: keyval.public });
      });
      const root = await findMetadata(db, "root");
      if (root === undefined) return { org, onlineKeys, roles: [] };
      const view = readRoot(root.body);
      if (!view.ok) throw new Error(view.refusal.message);
      const rows = await Promise.all(roleNames.map((role) => findMetadata(db, role)));
      const roles = rows.flatMap((row) =>
        row === undefined ? [] : [statusOf(row, view.value.roles[row.role])],
      );
      return { org, onlineKeys, roles };
    },
    async publishRoot(request, context) {
      const note = audit.note(context, request);
      const published = await db.transaction(async (tx) => publish(tx, options, request.root, note));
      const { row, view } = orRefuse(published);
      return { root: statusOf(row, view.roles.root) };
    },
    async getMetadata(request) {
      const role = roleNames.find((known) => known === request.role);
      if (role === undefined) {
        const why = `"${request.role.slice(0, 80)}" is none of ${roleNames.join(", ")}`;
        return orRefuse(invalid("role", why));
      }
      const row = await findMetadata(db, role);
      if (row === undefined) return orRefuse(refuse({ kind: "not-found", what: "metadata", id: role }));
      return { metadata: row.body, version: row.version };
    },
  };
}

async function publish(
  tx: Transaction,
  { org, signers, now }: TrustServiceOptions,
  bytes: Uint8Array,
  note: AuditNote,
): Promise<Outcome<{ readonly row: MetadataRow; readonly view: RootView }>> {
  await lockMetadata(tx);
  const at = now();
  const current = await findMetadata(tx, "root");
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
  orRefuse(await signOnline(tx, signers, at));
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
