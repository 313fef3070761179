import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { ReportScheduleSchema, type ReportSchedule, type ReportService } from "#proto/fleet/v1/report";

import { nextReportMs, parseReportSchedule, parseSchedule } from "../domain/notify/report-schedule.ts";
import type { Permission } from "../domain/permission.ts";
import type { Database } from "../store/pool.ts";
import {
  addSchedule,
  hastenSchedule,
  listSchedules,
  removeSchedule,
  type ScheduleRow,
} from "../store/report-schedules.ts";
import type { Audit } from "./audit.ts";
import { operatorOf } from "./caller.ts";
import { fromSelector, toSelector, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const reportPermissions = {
  addReportSchedule: "notification:write",
  listReportSchedules: "notification:read",
  removeReportSchedule: "notification:write",
  sendReport: "notification:write",
} satisfies Record<keyof (typeof ReportService)["method"], Permission>;

export interface ReportServiceOptions {
  readonly db: Database;
  readonly audit: Audit;
  readonly now: () => Date;
  /** Has the reports that are due made soon. */
  readonly nudge: () => void;
}

export function reportService({
  db,
  audit,
  now,
  nudge,
}: ReportServiceOptions): ServiceImpl<typeof ReportService> {
  return {
    async addReportSchedule(request, context) {
      const { name, report, receiver, format, schedule, rules, redact } = request;
      const selector = orRefuse(fromSelector("selector", request.selector));
      const wish = { name, report, receiver, format, schedule, rules, redact, selector };
      const wanted = orRefuse(parseReportSchedule(wish));
      const when = orRefuse(parseSchedule("schedule", wanted.schedule));
      const at = now();
      const next = new Date(nextReportMs(when, at.getTime()));
      const made = { now: at, by: operatorOf(context).name, next };
      const row = orRefuse(await addSchedule(db, wanted, made, audit.note(context, request)));
      return { schedule: toSchedule(row) };
    },
    async listReportSchedules() {
      return { schedules: (await listSchedules(db)).map(toSchedule) };
    },
    async removeReportSchedule(request, context) {
      orRefuse(await removeSchedule(db, request.name, audit.note(context, request)));
      return {};
    },
    async sendReport(request, context) {
      orRefuse(await hastenSchedule(db, request.name, now(), audit.note(context, request)));
      nudge();
      return {};
    },
  };
}

function toSchedule(row: ScheduleRow): ReportSchedule {
  return create(ReportScheduleSchema, {
    name: row.name,
    report: row.report,
    receiver: row.receiver,
    format: row.format,
    schedule: row.schedule,
    selector: toSelector(row.selector),
    rules: [...row.rules],
    redact: [...row.redact],
    nextAt: toTimestamp(row.nextAt),
    lastAt: toTimestamp(row.lastAt),
    createdAt: toTimestamp(row.createdAt),
    createdBy: row.createdBy,
    failures: row.failures,
    failedBecause: row.failedBecause,
    retryAt: toTimestamp(row.retryAt),
  });
}
