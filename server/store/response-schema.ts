import { pgTable, primaryKey, text } from "./drizzle.ts";

import { bytea, instant } from "./columns.ts";

export const responses = pgTable(
  "responses",
  {
    clusterId: text("cluster_id").notNull(),
    alertId: text("alert_id").notNull(),
    response: text("response").notNull(),
    agentId: text("agent_id").notNull(),
    rule: text("rule").notNull(),
    action: text("action").notNull(),
    namespace: text("namespace").notNull(),
    pod: text("pod").notNull(),
    outcome: text("outcome").notNull(),
    why: text("why").notNull(),
    rulesDigest: text("rules_digest").notNull(),
    decidedAt: instant("decided_at").notNull(),
    receivedAt: instant("received_at").notNull(),
    record: bytea("record").notNull(),
    signature: bytea("signature").notNull(),
  },
  (table) => [primaryKey({ columns: [table.clusterId, table.alertId, table.response] })],
);
