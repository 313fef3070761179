import { jsonb, pgTable, primaryKey, text } from "./drizzle.ts";

import type { IssuerKey } from "#trust";

import { bytea, instant, scope } from "./columns.ts";

export const issuers = pgTable("issuers", {
  id: text("id").primaryKey(),
  clusterName: text("cluster_name").notNull(),
  clusterUid: text("cluster_uid").notNull(),
  labels: jsonb("labels").$type<Readonly<Record<string, string>>>().notNull(),
  issuer: text("issuer").notNull(),
  subject: text("subject").notNull(),
  keys: jsonb("keys").$type<readonly IssuerKey[]>().notNull(),
  keysDigest: text("keys_digest").notNull(),
  scope: scope("scope"),
  createdAt: instant("created_at").notNull(),
  createdBy: text("created_by").notNull(),
  revokedAt: instant("revoked_at"),
});

/** Which key a service-account token admitted. */
export const issuerUses = pgTable(
  "issuer_uses",
  {
    issuerId: text("issuer_id").notNull(),
    tokenHash: bytea("token_hash").notNull(),
    keyHash: bytea("key_hash").notNull(),
    agentId: text("agent_id").notNull(),
    at: instant("at").notNull(),
    expiresAt: instant("expires_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.issuerId, table.tokenHash] })],
);
