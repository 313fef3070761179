import { ReportCommand, reportFlags } from "../../report/report-command.ts";

export default class ReportExec extends ReportCommand {
  static override summary = "Report who ran commands in pods, and which.";
  static override description =
    "Rules with the tag T1609 (container administration command): exec, attach, debug containers. One row is one command by one user in one pod; COUNT says how often. The command is decoded from the request. Alerts of one event are one act.";
  static override examples = [
    {
      description: "For production pods last week.",
      command: "<%= config.bin %> <%= command.id %> --environment prod --week",
    },
    {
      description: "Of one team, as a table for a ticket.",
      command: "<%= config.bin %> <%= command.id %> --team payments --since 24h --format markdown",
    },
  ];
  static override flags = reportFlags;

  override async run(): Promise<void> {
    const { flags } = await this.parse(ReportExec);
    await this.report(flags, "exec");
  }
}
