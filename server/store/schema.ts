/**
 * The typed mirror of `migrations/`: the SQL is the truth, a test compares the two through `information_schema`.
 * Constraints that only the database enforces are not repeated here.
 */
import { boolean, integer, jsonb, pgTable, primaryKey, smallint, text } from "./drizzle.ts";

import type { ComponentName } from "../domain/component.ts";
import type { SessionBegin } from "../domain/flapping.ts";
import type { ApprovalNeed, Person } from "../domain/people/approval.ts";
import type { Role } from "../domain/permission.ts";
import { reportColumns } from "./backtest-schema.ts";
import { bytea, instant, int8, nextChange, scope } from "./columns.ts";

/** Labels of a cluster; always with `region`. */
export type Labels = Readonly<Record<string, string>>;

/** Something that is wrong on an agent, as stored. */
export interface StoredCondition {
  readonly code: string;
  readonly message: string;
  /** RFC 3339. */
  readonly since: string;
}

/** Something that the server finds wrong with who speaks for an agent, or how often they begin to, as stored. */
export interface StoredSuspicion extends StoredCondition {
  /** When it was seen last. */
  readonly atMs: number;
}

/** What a bundle holds, in the words of the domain and of the database. */
export type BundleKindName = "rules" | "shipper" | "layer";

export type TrustRole = "root" | "targets" | "snapshot" | "timestamp";

/** A role of trust metadata, or that of a layer that a team owns: "layer-payments". */
export type StoredRole = TrustRole | `layer-${string}`;

export const clusters = pgTable("clusters", {
  id: text("id").primaryKey(),
  name: text("name").notNull().unique(),
  uid: text("uid").notNull().unique(),
  labels: jsonb("labels").$type<Labels>().notNull(),
  createdAt: instant("created_at").notNull(),
  retiredAt: instant("retired_at"),
  changed: int8("changed").notNull().default(nextChange()),
});

export const agents = pgTable("agents", {
  id: text("id").primaryKey(),
  clusterId: text("cluster_id").notNull(),
  name: text("name").notNull(),
  publicKey: bytea("public_key").notNull(),
  certificateSerial: text("certificate_serial").notNull(),
  certificateExpiresAt: instant("certificate_expires_at").notNull(),
  version: text("version").notNull().default(""),
  engineVersion: text("engine_version").notNull().default(""),
  capabilities: text("capabilities").array().notNull().default([]),
  sessionId: text("session_id"),
  sessionEpoch: int8("session_epoch").notNull().default(0n),
  sessionSequence: int8("session_sequence").notNull().default(0n),
  transport: text("transport"),
  serverId: text("server_id"),
  connectedAt: instant("connected_at"),
  disconnectedAt: instant("disconnected_at"),
  lastSeenAt: instant("last_seen_at"),
  observedGeneration: int8("observed_generation").notNull().default(0n),
  conditions: jsonb("conditions").$type<readonly StoredCondition[]>().notNull().default([]),
  rootVersion: int8("root_version").notNull().default(0n),
  targetsVersion: int8("targets_version").notNull().default(0n),
  revokedAt: instant("revoked_at"),
  createdAt: instant("created_at").notNull(),
  certificateCa: text("certificate_ca").notNull().default(""),
  trustedCas: text("trusted_cas").array().notNull().default([]),
  instanceId: text("instance_id").notNull().default(""),
  earlierInstances: text("earlier_instances").array().notNull().default([]),
  starts: int8("starts").notNull().default(0n),
  suspicions: jsonb("suspicions").$type<readonly StoredSuspicion[]>().notNull().default([]),
  auditHead: bytea("audit_head"),
  sessionBegins: jsonb("session_begins").$type<readonly SessionBegin[]>().notNull().default([]),
  leftAt: instant("left_at"),
});

export const agentComponents = pgTable(
  "agent_components",
  {
    agentId: text("agent_id").notNull(),
    kind: text("kind").$type<ComponentName>().notNull(),
    runningDigest: text("running_digest"),
    runningSince: instant("running_since"),
    provedGeneration: int8("proved_generation"),
    provedAt: instant("proved_at"),
  },
  (table) => [primaryKey({ columns: [table.agentId, table.kind] })],
);

export const attempts = pgTable(
  "attempts",
  {
    agentId: text("agent_id").notNull(),
    kind: text("kind").$type<ComponentName>().notNull(),
    digest: text("digest").notNull(),
    generation: int8("generation").notNull(),
    at: instant("at").notNull(),
    phase: text("phase").notNull(),
    reason: text("reason").notNull().default(""),
    detail: text("detail").notNull().default(""),
    logTail: text("log_tail").notNull().default(""),
  },
  (table) => [primaryKey({ columns: [table.agentId, table.kind, table.at, table.phase] })],
);

export const bundles = pgTable("bundles", {
  digest: text("digest").primaryKey(),
  kind: text("kind").$type<BundleKindName>().notNull(),
  name: text("name").notNull(),
  version: text("version").notNull(),
  targetPath: text("target_path").notNull().unique(),
  length: int8("length").notNull(),
  content: bytea("content").notNull(),
  counts: jsonb("counts").$type<Readonly<Record<string, number>>>().notNull().default({}),
  targetsVersion: int8("targets_version").notNull(),
  pushedAt: instant("pushed_at").notNull(),
  pushedBy: text("pushed_by").notNull(),
});

export const trustMetadata = pgTable(
  "trust_metadata",
  {
    role: text("role").$type<StoredRole>().notNull(),
    version: int8("version").notNull(),
    body: bytea("body").notNull(),
    expiresAt: instant("expires_at").notNull(),
    publishedAt: instant("published_at").notNull(),
    changed: int8("changed").notNull().default(nextChange()),
  },
  (table) => [primaryKey({ columns: [table.role, table.version] })],
);

export const rollouts = pgTable("rollouts", {
  id: text("id").primaryKey(),
  kind: text("kind").$type<ComponentName>().notNull(),
  digest: text("digest").notNull(),
  spec: jsonb("spec").notNull(),
  state: text("state").notNull(),
  because: text("because").notNull().default(""),
  wave: integer("wave").notNull().default(0),
  generation: int8("generation").notNull().default(1n),
  planDigest: text("plan_digest").notNull(),
  waves: jsonb("waves").notNull(),
  requestId: text("request_id").unique(),
  createdBy: text("created_by").notNull(),
  createdAt: instant("created_at").notNull(),
  finishedAt: instant("finished_at"),
  scope: scope("scope"),
  pending: boolean("pending").notNull().default(false),
  need: jsonb("need").$type<ApprovalNeed>(),
  starters: jsonb("starters").$type<readonly Person[]>().notNull().default([]),
  traceparent: text("traceparent"),
});

export const rolloutApprovals = pgTable(
  "rollout_approvals",
  {
    rolloutId: text("rollout_id").notNull(),
    planDigest: text("plan_digest").notNull(),
    person: text("person").notNull(),
    name: text("name").notNull(),
    reason: text("reason").notNull(),
    approvedAt: instant("approved_at").notNull(),
    lapsesAt: instant("lapses_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.rolloutId, table.planDigest, table.person] })],
);

export const rolloutActs = pgTable(
  "rollout_acts",
  {
    rolloutId: text("rollout_id").notNull(),
    sequence: int8("sequence").generatedAlwaysAsIdentity(),
    at: instant("at").notNull(),
    who: text("who").notNull(),
    what: text("what").notNull(),
    why: text("why").notNull(),
    planDigest: text("plan_digest").notNull(),
  },
  (table) => [primaryKey({ columns: [table.rolloutId, table.sequence] })],
);

export const freezes = pgTable("freezes", {
  id: int8("id").primaryKey().generatedAlwaysAsIdentity(),
  reason: text("reason").notNull(),
  createdBy: text("created_by").notNull(),
  createdAt: instant("created_at").notNull(),
  untilAt: instant("until_at"),
  liftedAt: instant("lifted_at"),
  liftedBy: text("lifted_by"),
});

export const rolloutClusters = pgTable(
  "rollout_clusters",
  {
    rolloutId: text("rollout_id").notNull(),
    clusterId: text("cluster_id").notNull(),
    wave: integer("wave").notNull(),
    state: text("state").notNull().default("waiting"),
    previousDigest: text("previous_digest"),
    generation: int8("generation").notNull().default(0n),
    assignedAt: instant("assigned_at"),
    provedAt: instant("proved_at"),
    reason: text("reason").notNull().default(""),
    late: boolean("late").notNull().default(false),
  },
  (table) => [primaryKey({ columns: [table.rolloutId, table.clusterId] })],
);

export const rolloutGates = pgTable(
  "rollout_gates",
  {
    rolloutId: text("rollout_id").notNull(),
    wave: integer("wave").notNull(),
    gate: text("gate").notNull(),
    state: text("state").notNull(),
    measured: text("measured").notNull(),
    gateLimit: text("gate_limit").notNull(),
    words: text("words").notNull(),
    generation: int8("generation").notNull(),
    judgedAt: instant("judged_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.rolloutId, table.wave, table.gate] })],
);

export { backtestClusters, backtestReports, backtests } from "./backtest-schema.ts";
export { issuers, issuerUses } from "./issuer-schema.ts";
export {
  notificationCursor,
  notificationDeliveries,
  notificationGroups,
  notificationReceivers,
  notificationRoutes,
  reportSchedules,
} from "./notification-schema.ts";
export { responses } from "./response-schema.ts";

export const shadowReports = pgTable(
  "shadow_reports",
  { rolloutId: text("rollout_id").notNull(), ...reportColumns },
  (table) => [primaryKey({ columns: [table.rolloutId, table.agentId] })],
);

export const assignments = pgTable("assignments", {
  clusterId: text("cluster_id").primaryKey(),
  generation: int8("generation").notNull(),
  rulesDigest: text("rules_digest"),
  shipperDigest: text("shipper_digest"),
  rulesRolloutId: text("rules_rollout_id"),
  shipperRolloutId: text("shipper_rollout_id"),
  changedAt: instant("changed_at").notNull(),
  changed: int8("changed").notNull().default(nextChange()),
});

export const assignmentLayers = pgTable(
  "assignment_layers",
  {
    clusterId: text("cluster_id").notNull(),
    layer: text("layer").notNull(),
    digest: text("digest"),
    rolloutId: text("rollout_id"),
  },
  (table) => [primaryKey({ columns: [table.clusterId, table.layer] })],
);

export const joinTokens = pgTable("join_tokens", {
  id: text("id").primaryKey(),
  secretHash: bytea("secret_hash").notNull(),
  labels: jsonb("labels").$type<Labels>().notNull(),
  clusterName: text("cluster_name"),
  usesMax: integer("uses_max").notNull(),
  uses: integer("uses").notNull().default(0),
  expiresAt: instant("expires_at").notNull(),
  createdAt: instant("created_at").notNull(),
  createdBy: text("created_by").notNull(),
  revokedAt: instant("revoked_at"),
  clusterUid: text("cluster_uid"),
  cidr: text("cidr"),
  scope: scope("scope"),
});

export const caRotations = pgTable("ca_rotations", {
  number: integer("number").primaryKey(),
  phase: text("phase").$type<"spreading" | "switched" | "finished" | "cancelled">().notNull(),
  fromPin: text("from_pin").notNull(),
  fromCertificate: bytea("from_certificate").notNull(),
  toPin: text("to_pin").notNull().unique(),
  toCertificate: bytea("to_certificate").notNull(),
  toKey: bytea("to_key"),
  startedAt: instant("started_at").notNull(),
  startedBy: text("started_by").notNull(),
  switchedAt: instant("switched_at"),
  switchedBy: text("switched_by"),
  endedAt: instant("ended_at"),
  endedBy: text("ended_by"),
  leftBehind: text("left_behind").array().notNull().default([]),
  changed: int8("changed").notNull().default(nextChange()),
});

export const enrollments = pgTable(
  "enrollments",
  {
    tokenId: text("token_id").notNull(),
    keyHash: bytea("key_hash").notNull(),
    agentId: text("agent_id").notNull(),
    at: instant("at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.tokenId, table.keyHash] })],
);

export const apiTokens = pgTable("api_tokens", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  secretHash: bytea("secret_hash").notNull(),
  role: text("role").$type<Role>().notNull(),
  expiresAt: instant("expires_at").notNull(),
  createdAt: instant("created_at").notNull(),
  createdBy: text("created_by").notNull(),
  lastUsedAt: instant("last_used_at"),
  revokedAt: instant("revoked_at"),
  scope: scope("scope"),
  issuer: text("issuer"),
  subject: text("subject"),
});

export {
  alertActorHours,
  alertGroupActs,
  alertGroups,
  alertHours,
  alertTotals,
  alertIntake,
  alerts,
  alertSilences,
} from "./alert-schema.ts";

export const rates = pgTable(
  "rates",
  {
    agentId: text("agent_id").notNull(),
    clusterId: text("cluster_id").notNull(),
    minute: instant("minute").notNull(),
    events: int8("events").notNull(),
    bytes: int8("bytes").notNull(),
    alerts: int8("alerts").notNull(),
    dropped: int8("dropped").notNull(),
    parked: int8("parked").notNull(),
    lagMs: int8("lag_ms").notNull(),
    detectionUs: int8("detection_us").notNull(),
    seconds: smallint("seconds").notNull(),
  },
  (table) => [primaryKey({ columns: [table.minute, table.agentId] })],
);

export const auditChains = pgTable("audit_chains", {
  org: text("org").primaryKey(),
  sequence: int8("sequence").notNull(),
  hash: bytea("hash").notNull(),
});

export const auditEntries = pgTable(
  "audit_entries",
  {
    org: text("org").notNull(),
    sequence: int8("sequence").notNull(),
    previous: bytea("previous").notNull(),
    body: text("body").notNull(),
    hash: bytea("hash").notNull(),
  },
  (table) => [primaryKey({ columns: [table.org, table.sequence] })],
);

export const auditHeads = pgTable(
  "audit_heads",
  {
    org: text("org").notNull(),
    sequence: int8("sequence").notNull(),
    signedAt: instant("signed_at").notNull(),
    payload: bytea("payload").notNull(),
    keyId: text("key_id").notNull(),
    signature: bytea("signature").notNull(),
  },
  (table) => [primaryKey({ columns: [table.org, table.sequence, table.signedAt] })],
);
