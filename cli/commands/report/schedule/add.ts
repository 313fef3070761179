import { ReportScheduleSchema, ReportService } from "#proto/fleet/v1/report";
import { redactable } from "#report/redactable";
import { present } from "../../../answer.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { envOf, listFlag, requiredArg, selectorFlags, selectorFrom, valuesOf } from "../../../flags.ts";
import { Flags } from "../../../oclif.ts";
import { clean } from "../../../output/text.ts";
import { isoOf } from "../../../views.ts";

export default class ReportScheduleAdd extends FleetCommand {
  static override summary = "Have the server make a report again and again, and send it to a receiver.";
  static override description =
    "Each report is about the seven days before it, or since the one before it when that is longer ago. Receivers of kind smtp get it attached, those of kind webhook in the message, those of kind slack its summary.";
  static override examples = [
    {
      description: "Who ran commands in production pods, each Monday by mail.",
      command:
        "<%= config.bin %> <%= command.id %> prod-execs --report exec --to soc-mail --at 'Mon 08:00 Europe/Berlin' --environment prod",
    },
    {
      description: "Which clusters nobody watches, each working day, for a program.",
      command:
        "<%= config.bin %> <%= command.id %> coverage --report coverage --to inventory --at 'Mon-Fri 07:00 UTC' --format json",
    },
  ];
  static override args = { schedule: requiredArg("Name of the schedule.") };
  static override flags = {
    report: Flags.option({
      summary: "Which report.",
      options: ["exec", "secrets", "privileges", "rollouts", "coverage"] as const,
      required: true,
      env: envOf("report"),
    })(),
    to: Flags.string({
      summary: "Name of the receiver.",
      helpValue: "RECEIVER",
      required: true,
      env: envOf("to"),
    }),
    at: Flags.string({
      summary: "Days, time and time zone.",
      helpValue: "'DAYS HH:MM ZONE'",
      required: true,
      env: envOf("at"),
    }),
    format: Flags.option({
      summary: "How to write it.",
      options: ["html", "markdown", "csv", "json"] as const,
      default: "html" as const,
      env: envOf("format"),
    })(),
    rule: listFlag("rule", "Alerts of these rules, instead of those that the report is about.", "NAME"),
    redact: listFlag("redact", `Replace these by other names: ${redactable.join(", ")}.`, "WHAT"),
    ...selectorFlags,
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ReportScheduleAdd);
    const service = await this.client(ReportService, flags);
    const response = await service.addReportSchedule({
      name: args.schedule,
      report: flags.report,
      receiver: flags.to,
      format: flags.format,
      schedule: flags.at,
      selector: selectorFrom(flags),
      rules: valuesOf(flags.rule),
      redact: valuesOf(flags.redact),
    });
    const made = present(response.schedule, "schedule");
    this.answer(flags.output, ReportScheduleSchema, made, () => [
      `Report ${made.report} goes to ${clean(made.receiver)} at ${isoOf(made.nextAt)} and then each ${clean(made.schedule)}.`,
    ]);
    this.talk(`To see one now: fleetctl report schedule send ${clean(made.name)}`);
  }
}
