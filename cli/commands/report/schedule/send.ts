import { SendReportResponseSchema, ReportService } from "#proto/fleet/v1/report";
import { FleetCommand } from "../../../fleet-command.ts";
import { requiredArg } from "../../../flags.ts";
import { clean } from "../../../output/text.ts";

export default class ReportScheduleSend extends FleetCommand {
  static override summary = "Have the report of a schedule made and sent now.";
  static override description =
    "The schedule goes on as before. Whether it got there: fleetctl notify receiver list.";
  static override examples = [
    { description: "After adding one.", command: "<%= config.bin %> <%= command.id %> prod-execs" },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> prod-execs -o json",
    },
  ];
  static override args = { schedule: requiredArg("Name of the schedule.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ReportScheduleSend);
    const service = await this.client(ReportService, flags);
    const response = await service.sendReport({ name: args.schedule });
    this.answer(flags.output, SendReportResponseSchema, response, () => [
      `The report of schedule ${clean(args.schedule)} is being made.`,
    ]);
  }
}
