import { integer, jsonb, pgTable, primaryKey, smallint, text } from "./drizzle.ts";

import type { AlertFields } from "../domain/alert-fields.ts";
import type { AlertGroupState, AlertGroupStep } from "../domain/alert-group.ts";
import { instant, int8, nextChange, scope } from "./columns.ts";

/** One of the newest alerts of a group, as stored. */
export interface StoredSample {
  readonly id: string;
  /** Microseconds since 1970, as text. */
  readonly timeUs: string;
  readonly output: string;
}

export const alerts = pgTable(
  "alerts",
  {
    id: text("id").notNull(),
    time: instant("time").notNull(),
    receivedAt: instant("received_at").notNull(),
    arrival: int8("arrival").generatedAlwaysAsIdentity(),
    clusterId: text("cluster_id").notNull(),
    agentId: text("agent_id").notNull(),
    rule: text("rule").notNull(),
    priority: smallint("priority").notNull(),
    source: text("source").notNull(),
    output: text("output").notNull(),
    body: text("body").notNull(),
    auditId: text("audit_id").notNull().default(""),
    tags: text("tags").array().notNull().default([]),
    rulesDigest: text("rules_digest").notNull(),
    actor: text("actor").notNull().default(""),
    fields: jsonb("fields").$type<AlertFields>().notNull().default({}),
    silenceId: text("silence_id").notNull().default(""),
  },
  (table) => [primaryKey({ columns: [table.clusterId, table.time, table.id] })],
);

export const alertGroups = pgTable("alert_groups", {
  id: text("id").primaryKey(),
  clusterId: text("cluster_id").notNull(),
  rule: text("rule").notNull(),
  actor: text("actor").notNull(),
  priority: smallint("priority").notNull(),
  source: text("source").notNull(),
  tags: text("tags").array().notNull(),
  count: int8("count").notNull(),
  notStored: int8("not_stored").notNull(),
  firstAt: instant("first_at").notNull(),
  lastAt: instant("last_at").notNull(),
  receivedAt: instant("received_at").notNull(),
  state: text("state").$type<AlertGroupState>().notNull(),
  stateBy: text("state_by").notNull().default(""),
  stateAt: instant("state_at").notNull(),
  note: text("note").notNull().default(""),
  generation: int8("generation").notNull().default(1n),
  silenceId: text("silence_id"),
  silencedUntil: instant("silenced_until"),
  fields: jsonb("fields").$type<AlertFields>().notNull(),
  samples: jsonb("samples").$type<readonly StoredSample[]>().notNull(),
});

export const alertGroupActs = pgTable(
  "alert_group_acts",
  {
    groupId: text("group_id").notNull(),
    sequence: int8("sequence").generatedAlwaysAsIdentity(),
    at: instant("at").notNull(),
    who: text("who").notNull(),
    what: text("what").$type<AlertGroupStep>().notNull(),
    note: text("note").notNull(),
  },
  (table) => [primaryKey({ columns: [table.groupId, table.sequence] })],
);

export const alertSilences = pgTable("alert_silences", {
  id: text("id").primaryKey(),
  matchers: text("matchers").notNull(),
  author: text("author").notNull(),
  reason: text("reason").notNull(),
  scope: scope("scope"),
  createdAt: instant("created_at").notNull(),
  expiresAt: instant("expires_at").notNull(),
  removedAt: instant("removed_at"),
  removedBy: text("removed_by"),
  changed: int8("changed").notNull().default(nextChange()),
});

export const alertHours = pgTable(
  "alert_hours",
  {
    hour: instant("hour").notNull(),
    clusterId: text("cluster_id").notNull(),
    rule: text("rule").notNull(),
    priority: smallint("priority").notNull(),
    count: int8("count").notNull(),
    lastAt: instant("last_at").notNull(),
    receivedAt: instant("received_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.hour, table.clusterId, table.rule, table.priority] })],
);

export const alertTotals = pgTable(
  "alert_totals",
  {
    hour: instant("hour").notNull(),
    clusterId: text("cluster_id").notNull(),
    rule: text("rule").notNull(),
    priority: smallint("priority").notNull(),
    share: smallint("share").notNull(),
    count: int8("count").notNull(),
    lastAt: instant("last_at").notNull(),
    receivedAt: instant("received_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.hour, table.clusterId, table.rule, table.priority, table.share] }),
  ],
);

export const alertActorHours = pgTable(
  "alert_actor_hours",
  {
    hour: instant("hour").notNull(),
    number: integer("number").notNull(),
    rule: text("rule").notNull(),
    priority: smallint("priority").notNull(),
    actor: text("actor").notNull(),
    fields: jsonb("fields").$type<AlertFields>().notNull(),
    count: int8("count").notNull(),
    lastAt: instant("last_at").notNull(),
    receivedAt: instant("received_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.hour, table.number] })],
);

export const alertIntake = pgTable(
  "alert_intake",
  {
    clusterId: text("cluster_id").notNull(),
    hour: instant("hour").notNull(),
    rule: text("rule").notNull(),
    stored: int8("stored").notNull(),
    notStored: int8("not_stored").notNull(),
  },
  (table) => [primaryKey({ columns: [table.clusterId, table.hour, table.rule] })],
);
