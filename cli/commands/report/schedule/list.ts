import {
  ListReportSchedulesResponseSchema,
  ReportService,
  type ReportSchedule,
} from "#proto/fleet/v1/report";
import { FleetCommand } from "../../../fleet-command.ts";
import { renderTable, type Column } from "../../../output/table.ts";
import { clean, countOf } from "../../../output/text.ts";
import { renderSelector } from "../../../selector.ts";
import { isoOf } from "../../../views.ts";

export default class ReportScheduleList extends FleetCommand {
  static override summary = "List the reports that the server makes by itself.";
  static override description = "Whether they got there: fleetctl notify receiver list.";
  static override examples = [
    { description: "Which reports go where, and when.", command: "<%= config.bin %> <%= command.id %>" },
    { description: "With what they are about.", command: "<%= config.bin %> <%= command.id %> -o wide" },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(ReportScheduleList);
    const service = await this.client(ReportService, flags);
    const response = await service.listReportSchedules({});
    const { schedules } = response;
    this.answer(flags.output, ListReportSchedulesResponseSchema, response, (wide) =>
      schedules.length === 0 ? [] : renderTable(schedules, columns, { wide }),
    );
    if (schedules.length === 0) this.talk("There is none. To add one: fleetctl report schedule add");
  }
}

function stateOf({ failures, failedBecause, retryAt }: ReportSchedule): string {
  if (failures === 0) return "ok";
  const again = retryAt === undefined ? "" : `, again at ${isoOf(retryAt)}`;
  return `failed ${countOf(failures, "time")}${again}: ${clean(failedBecause)}`;
}

const columns: readonly Column<ReportSchedule>[] = [
  { title: "NAME", cell: ({ name }) => name },
  { title: "REPORT", cell: ({ report }) => report },
  { title: "TO", cell: ({ receiver }) => receiver },
  { title: "AT", cell: ({ schedule }) => schedule },
  { title: "NEXT", cell: ({ nextAt }) => isoOf(nextAt) },
  { title: "LAST", cell: ({ lastAt }) => (lastAt === undefined ? "-" : isoOf(lastAt)) },
  { title: "STATE", cell: stateOf, tone: ({ failures }) => (failures === 0 ? undefined : "bad") },
  { title: "FORMAT", wide: true, cell: ({ format }) => format },
  {
    title: "CLUSTERS",
    wide: true,
    cell: ({ selector }) => (selector === undefined ? "" : renderSelector(selector)) || "all",
  },
  { title: "RULES", wide: true, cell: ({ rules }) => rules.join(",") || "-" },
  { title: "REDACTED", wide: true, cell: ({ redact }) => redact.join(",") || "-" },
  { title: "BY", wide: true, cell: ({ createdBy }) => createdBy },
];
