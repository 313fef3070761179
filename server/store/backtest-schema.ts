import { jsonb, pgTable, primaryKey, text } from "./drizzle.ts";

import { instant, int8 } from "./columns.ts";

/** Columns of what an agent reports of a candidate. `rules` is a list of `CandidateRuleRow`. */
export const reportColumns = {
  agentId: text("agent_id").notNull(),
  clusterId: text("cluster_id").notNull(),
  state: text("state").notNull(),
  reason: text("reason").notNull(),
  detail: text("detail").notNull(),
  since: instant("since"),
  updatedAt: instant("updated_at").notNull(),
  events: int8("events").notNull(),
  skipped: int8("skipped").notNull(),
  undecided: int8("undecided").notNull(),
  failures: int8("failures").notNull(),
  evaluationUs: int8("evaluation_us").notNull(),
  rules: jsonb("rules").notNull(),
};

export const backtests = pgTable("backtests", {
  id: text("id").primaryKey(),
  digest: text("digest").notNull(),
  since: instant("since").notNull(),
  until: instant("until").notNull(),
  createdBy: text("created_by").notNull(),
  createdAt: instant("created_at").notNull(),
  deadlineAt: instant("deadline_at").notNull(),
  canceledAt: instant("canceled_at"),
  finishedAt: instant("finished_at"),
});

export const backtestClusters = pgTable(
  "backtest_clusters",
  { backtestId: text("backtest_id").notNull(), clusterId: text("cluster_id").notNull() },
  (table) => [primaryKey({ columns: [table.backtestId, table.clusterId] })],
);

export const backtestReports = pgTable(
  "backtest_reports",
  {
    backtestId: text("backtest_id").notNull(),
    ...reportColumns,
    bytesDone: int8("bytes_done").notNull(),
    bytesTotal: int8("bytes_total").notNull(),
    missing: int8("missing").notNull(),
    oldest: instant("oldest"),
  },
  (table) => [primaryKey({ columns: [table.backtestId, table.agentId] })],
);
