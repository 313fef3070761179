import { RemoveReportScheduleResponseSchema, ReportService } from "#proto/fleet/v1/report";
import { FleetCommand } from "../../../fleet-command.ts";
import { requiredArg } from "../../../flags.ts";
import { clean } from "../../../output/text.ts";

export default class ReportScheduleRemove extends FleetCommand {
  static override summary = "Have the server make a report no more.";
  static override description = "Reports that wait to be sent are still sent.";
  static override examples = [
    {
      description: "A team that reads it no more.",
      command: "<%= config.bin %> <%= command.id %> prod-execs",
    },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> prod-execs -o json",
    },
  ];
  static override args = { schedule: requiredArg("Name of the schedule.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ReportScheduleRemove);
    const service = await this.client(ReportService, flags);
    const response = await service.removeReportSchedule({ name: args.schedule });
    this.answer(flags.output, RemoveReportScheduleResponseSchema, response, () => [
      `No report is made by schedule ${clean(args.schedule)} any more.`,
    ]);
  }
}
