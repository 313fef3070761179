import { boolean, integer, jsonb, pgTable, primaryKey, text } from "./drizzle.ts";

import type { ReportFormat, ReportName } from "../domain/notify/report-schedule.ts";
import type { Entry, GroupLabels } from "../domain/notify/group.ts";
import type { Message } from "../domain/notify/message.ts";
import type { ReceiverKind, Settings } from "../domain/notify/receiver.ts";
import type { Selector } from "../domain/selector.ts";
import { bytea, instant, int8 } from "./columns.ts";

export const notificationReceivers = pgTable("notification_receivers", {
  name: text("name").primaryKey(),
  kind: text("kind").$type<ReceiverKind>().notNull(),
  settings: jsonb("settings").$type<Settings>().notNull(),
  sealed: bytea("sealed"),
  sealKey: text("seal_key"),
  secretNames: text("secret_names").array().notNull().default([]),
  perMinute: integer("per_minute").notNull(),
  busyUntil: instant("busy_until").notNull(),
  sentAt: instant("sent_at"),
  failedAt: instant("failed_at"),
  failure: text("failure").notNull().default(""),
  createdAt: instant("created_at").notNull(),
  createdBy: text("created_by").notNull(),
});

export const notificationRoutes = pgTable("notification_routes", {
  name: text("name").primaryKey(),
  position: int8("position").generatedAlwaysAsIdentity(),
  receiver: text("receiver").notNull(),
  matchers: text("matchers").notNull(),
  groupBy: text("group_by").array().notNull(),
  waitMs: integer("wait_ms").notNull(),
  intervalMs: integer("interval_ms").notNull(),
  repeatMs: integer("repeat_ms").notNull(),
  goesOn: boolean("goes_on").notNull(),
  createdAt: instant("created_at").notNull(),
  createdBy: text("created_by").notNull(),
});

export const notificationGroups = pgTable(
  "notification_groups",
  {
    route: text("route").notNull(),
    key: text("key").notNull(),
    labels: jsonb("labels").$type<GroupLabels>().notNull(),
    entries: jsonb("entries").$type<readonly Entry[]>().notNull(),
    leftOut: int8("left_out").notNull().default(0n),
    createdAt: instant("created_at").notNull(),
    sentAt: instant("sent_at"),
    dueAt: instant("due_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.route, table.key] })],
);

export const notificationDeliveries = pgTable("notification_deliveries", {
  id: text("id").primaryKey(),
  receiver: text("receiver").notNull(),
  route: text("route").notNull(),
  message: jsonb("message").$type<Message>().notNull(),
  state: text("state").$type<"waiting" | "dead">().notNull(),
  attempts: integer("attempts").notNull().default(0),
  dueAt: instant("due_at").notNull(),
  failure: text("failure").notNull().default(""),
  createdAt: instant("created_at").notNull(),
  deadAt: instant("dead_at"),
});

export const notificationCursor = pgTable("notification_cursor", {
  id: integer("id").primaryKey(),
  arrival: int8("arrival").notNull(),
  seenArrival: int8("seen_arrival").notNull(),
  seenXid: int8("seen_xid").notNull(),
  lookedAt: instant("looked_at").notNull(),
});

export const reportSchedules = pgTable("report_schedules", {
  name: text("name").primaryKey(),
  report: text("report").$type<ReportName>().notNull(),
  receiver: text("receiver").notNull(),
  format: text("format").$type<ReportFormat>().notNull(),
  schedule: text("schedule").notNull(),
  selector: jsonb("selector").$type<Selector>().notNull(),
  rules: text("rules").array().notNull().default([]),
  redact: text("redact").array().notNull(),
  nextAt: instant("next_at").notNull(),
  lastAt: instant("last_at"),
  createdAt: instant("created_at").notNull(),
  createdBy: text("created_by").notNull(),
  failures: integer("failures").notNull().default(0),
  failedBecause: text("failed_because").notNull().default(""),
  retryAt: instant("retry_at"),
});
