import {
  actsJson,
  actsReports,
  coverageSheet,
  redact,
  redactClusters,
  redactRollouts,
  renderCsv,
  renderHtml,
  renderMarkdown,
  rolloutsSheet,
  rowsOf,
  sheetJson,
  sheetOf,
  type ActsReport,
  type Period,
  type Redactable,
  type Sheet,
} from "#report";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ClusterHealth, type Cluster } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";

import type { Attachment, Message } from "../domain/notify/message.ts";
import {
  nextReportMs,
  parseSchedule,
  reportedFromMs,
  type ReportFormat,
  type ReportName,
} from "../domain/notify/report-schedule.ts";
import { retryReportMs } from "../domain/notify/report-retry.ts";
import { wholeFleet } from "../domain/scope.ts";
import { withoutSecrets } from "../domain/secret.ts";
import type { Selector } from "../domain/selector.ts";
import { toMessages } from "../rpc/cluster-parts.ts";
import { newId } from "../secrets.ts";
import { countAlerts } from "../store/alert-counts.ts";
import type { AlertFilter } from "../store/alerts.ts";
import { countNotStored } from "../store/alerts-not-stored.ts";
import { findBundleNames } from "../store/bundles.ts";
import { listClusters } from "../store/clusters.ts";
import { insertDelivery } from "../store/notification-deliveries.ts";
import type { Database, Db } from "../store/pool.ts";
import {
  beginReport,
  explainFailure,
  findDueSchedule,
  moveSchedule,
  schedulesMax,
  type ScheduleRow,
} from "../store/report-schedules.ts";
import { countRolloutSteps, listRollouts } from "../store/rollouts.ts";
import { readStoredActs } from "./report-acts.ts";

const dayMs = 86_400_000;
const weekMs = 7 * dayMs;
const rolloutsMax = 2_000;
/** Clusters whose alerts are told apart when they are counted. */
const countedMax = 1_000;
/** Of a file; rows beyond it are left out. */
const textCharsMax = 4_000_000;
const rowsMax = 5_000;

/**
 * Makes the reports whose time has come and puts them among the messages. Of several servers one sends each. One that cannot be made
 * holds up no other and is tried again later and later; which ones could not is thrown when all were tried.
 */
export async function reconcileReports(db: Database, org: string, now: () => Date): Promise<void> {
  const tried: string[] = [];
  const failed = new Map<string, unknown>();
  while (tried.length < schedulesMax) {
    const schedule = await findDueSchedule(db, now(), tried);
    if (schedule === undefined) break;
    tried.push(schedule.name);
    try {
      await tryOne(db, schedule, org, now());
    } catch (error) {
      failed.set(schedule.name, error);
    }
  }
  if (failed.size === 0) return;
  const names = [...failed.keys()].join(", ");
  throw new AggregateError(failed.values(), `Reports of these schedules could not be made: ${names}`);
}

/**
 * Counts the try as failed before it begins, so that a report that is the end of a server is not made again and again by the next ones;
 * one that was made takes that back. Of several servers the one that counted makes it.
 */
async function tryOne(db: Database, schedule: ScheduleRow, org: string, now: Date): Promise<void> {
  const failures = schedule.failures + 1;
  const retryMs = retryReportMs(failures, now.getTime());
  const at = retryMs === undefined ? { next: nextOf(schedule, now) } : { retry: new Date(retryMs) };
  const begun = await beginReport(db, schedule, { failures, because: unfinished, at });
  if (begun === undefined) return;
  try {
    await makeOne(db, begun, org, now);
  } catch (error) {
    await explainFailure(db, begun, reasonOf(error)).catch(() => undefined);
    throw error;
  }
}

const unfinished = "It was begun, and did not come to its end";

const reasonCharsMax = 200;

/** The innermost reason: what is around it repeats statements. */
function reasonOf(error: unknown): string {
  let at = error;
  for (let depth = 0; depth < 8 && at instanceof Error && at.cause instanceof Error; depth += 1) {
    at = at.cause;
  }
  const text = at instanceof Error ? at.message : "It failed without a reason";
  return withoutSecrets(text).replaceAll("\0", "").slice(0, reasonCharsMax).toWellFormed();
}

/** One that this server cannot read (another one knew its time zone) is looked at by others, a day later. */
function nextOf({ schedule }: ScheduleRow, now: Date): Date {
  const when = parseSchedule("schedule", schedule);
  return new Date(when.ok ? nextReportMs(when.value, now.getTime()) : now.getTime() + dayMs);
}

/** Nothing is locked while a report is made, which may take longer than a transaction may wait. */
async function makeOne(db: Database, schedule: ScheduleRow, org: string, now: Date): Promise<void> {
  const message = await reportMessage(db, schedule, org, now);
  await db.transaction(async (tx) => {
    const isOurs = await moveSchedule(tx, schedule, now, nextOf(schedule, now));
    if (isOurs) await insertDelivery(tx, message, schedule.receiver, now);
  });
}

async function reportMessage(db: Database, schedule: ScheduleRow, org: string, now: Date): Promise<Message> {
  const atMs = now.getTime();
  const common = { id: newId("delivery"), org, route: "report", group: schedule.name, labels: {}, atMs };
  const report = await makeReport(db, schedule, now);
  return { ...common, untilMs: atMs + weekMs, firing: [], resolved: [], leftOut: 0, report };
}

/** A report of the days up to now, as a file. */
async function makeReport(
  db: Database,
  { report, format, selector, rules, redact: what, lastAt, createdAt }: ScheduleRow,
  now: Date,
): Promise<Attachment> {
  const untilMs = now.getTime();
  const isHidden = what.includes("cluster");
  const told = lastAt === null ? {} : { lastMs: lastAt.getTime() };
  const fromMs = reportedFromMs(untilMs, { createdMs: createdAt.getTime(), ...told });
  const period = { fromMs, untilMs, clusters: isHidden ? "" : selectorText(selector) };
  const made = await sheetAndJson(db, {
    report,
    selector,
    rules,
    redact: what as Redactable[],
    period,
    now,
  });
  const sheet = { ...made.sheet, rows: made.sheet.rows.slice(0, rowsMax) };
  const fileName = `${report}-${now.toISOString().slice(0, 10)}.${extensions[format]}`;
  const text = write(format, sheet, made.json);
  const { title } = sheet;
  const summary = `${title}, ${sheet.period}: ${sheet.summary}`;
  const isLong = text.length > textCharsMax || made.sheet.rows.length > rowsMax;
  const short = { ...sheet, rows: sheet.rows.slice(0, rowsMax / 10) };
  return {
    title,
    summary: isLong ? `${summary}. It is long: only its first rows are in the file` : summary,
    fileName,
    mediaType: mediaTypes[format],
    text:
      text.length > textCharsMax
        ? write(format, short, undefined).slice(0, textCharsMax).toWellFormed()
        : text,
  };
}

const extensions = { html: "html", markdown: "md", csv: "csv", json: "json" } as const satisfies Record<
  ReportFormat,
  string
>;
const mediaTypes = {
  html: "text/html; charset=utf-8",
  markdown: "text/markdown; charset=utf-8",
  csv: "text/csv; charset=utf-8",
  json: "application/json",
} as const satisfies Record<ReportFormat, string>;

function write(format: ReportFormat, sheet: Sheet, json: (() => object) | undefined): string {
  if (format === "html") return renderHtml(sheet);
  if (format === "markdown") return renderMarkdown(sheet);
  if (format === "csv") return renderCsv(sheet);
  return JSON.stringify(json === undefined ? sheetJson(sheet) : json(), undefined, 2);
}

function selectorText(selector: Selector): string {
  return selector
    .map((each) =>
      "values" in each
        ? `${each.key} ${each.operator} (${each.values.join(",")})`
        : `${each.key} ${each.operator}`,
    )
    .join(", ");
}

interface Asked {
  readonly report: ReportName;
  readonly selector: Selector;
  /** Instead of those that the report is about; empty for these. */
  readonly rules: readonly string[];
  readonly redact: readonly Redactable[];
  readonly period: Period;
  readonly now: Date;
}

async function sheetAndJson(
  db: Database,
  { report, selector, rules, redact: what, period, now }: Asked,
): Promise<{ readonly sheet: Sheet; readonly json?: () => object }> {
  const hidden = new Set(what);
  switch (report) {
    case "rollouts":
      return { sheet: await rolloutsOf(db, period, hidden) };
    case "coverage":
      return { sheet: await coverageOf(db, { selector, period, now, hidden }) };
    case "exec":
    case "secrets":
    case "privileges": {
      const { title, tags } = actsReports[report];
      const about = rules.length > 0 ? { rules } : { tags };
      const filter = { ...filterOf(selector, period), ...about };
      const { acts: told, ...read } = await readStoredActs(db, filter);
      const acts = redact(told, hidden);
      const made: ActsReport = { ...read, title, ...period, rows: rowsOf(acts), acts: acts.length };
      return { sheet: sheetOf(made), json: () => actsJson(made) };
    }
  }
}

function filterOf(selector: Selector, { fromMs, untilMs }: Period): AlertFilter {
  const [sinceUs, untilUs] = [BigInt(fromMs) * 1_000n, BigInt(untilMs) * 1_000n];
  return { scope: wholeFleet, selector, rules: [], tags: [], sinceUs, untilUs, matchers: [] };
}

type Hidden = ReadonlySet<Redactable>;

async function rolloutsOf(db: Db, period: Period, hidden: Hidden): Promise<Sheet> {
  const found = await listRollouts(db, wholeFleet, { size: rolloutsMax, unfinished: false });
  const steps = await countRolloutSteps(
    db,
    found.map(({ id }) => id),
  );
  const names = await findBundleNames(
    db,
    found.map(({ digest }) => digest),
  );
  const rollouts = found.map((rollout) => {
    const { proved = 0, clusters = 0 } = steps.get(rollout.id) ?? {};
    const name = names.get(rollout.digest);
    return {
      id: rollout.id,
      kind: name?.kind ?? rollout.spec.kind,
      bundle: name === undefined ? rollout.digest : `${name.name}@${name.version}`,
      state: rollout.state,
      proved,
      clusters,
      by: rollout.createdBy,
      startedMs: rollout.createdAtMs,
      ...(rollout.finishedAtMs === undefined ? {} : { endedMs: rollout.finishedAtMs }),
      because: rollout.because,
    };
  });
  return rolloutsSheet(redactRollouts(rollouts, hidden), period, found.length === rolloutsMax);
}

const healthWords: Readonly<Record<ClusterHealth, string>> = {
  [ClusterHealth.UNSPECIFIED]: "unknown",
  [ClusterHealth.HEALTHY]: "healthy",
  [ClusterHealth.UPDATING]: "updating",
  [ClusterHealth.DEGRADED]: "degraded",
  [ClusterHealth.SILENT]: "silent",
};

async function coverageOf(
  db: Database,
  { selector, period, now, hidden }: Omit<Asked, "report" | "rules" | "redact"> & { readonly hidden: Hidden },
): Promise<Sheet> {
  const rows = await listClusters(db, { scope: wholeFleet, selector, includeRetired: false });
  const clusters = await toMessages({ db, now: () => now }, rows, 1, false);
  // Where there are too many to count, the report says that it does not know.
  const filter = filterOf(selector, period);
  const counted = await countAlerts(db, filter, "cluster");
  const counts = counted.ok ? counted.value.counts : [];
  const alerts = new Map(counts.map(({ value, count }) => [value, Number(count)]));
  const isComplete = counted.ok && counts.length < countedMax;
  const reported = clusters.map((cluster: Cluster) => {
    const running = (kind: BundleKind): string => {
      const bundle = cluster.running.find((each) => each.bundle?.kind === kind)?.bundle;
      return bundle === undefined ? "" : `${bundle.name}@${bundle.version}`;
    };
    const { name, labels, lastSeenAt } = cluster;
    const count = alerts.get(name) ?? (isComplete ? 0 : undefined);
    return {
      name,
      region: labels["region"] ?? "",
      environment: labels["environment"] ?? "",
      team: labels["team"] ?? "",
      health: healthWords[cluster.health] ?? "unknown",
      agents: cluster.agentCount,
      rules: running(BundleKind.RULES),
      shipper: running(BundleKind.SHIPPER),
      ...(lastSeenAt === undefined ? {} : { heardMs: timestampMs(lastSeenAt) }),
      ...(count === undefined ? {} : { alerts: count }),
    };
  });
  const notStored = Number(await countNotStored(db, filter));
  return coverageSheet(redactClusters(reported, hidden), period, notStored);
}
