import { ReportCommand, reportFlags } from "../../report/report-command.ts";

export default class ReportSecrets extends ReportCommand {
  static override summary = "Report who read secrets.";
  static override description = "Rules with the tag secrets. Alerts of one event are one act.";
  static override examples = [
    {
      description: "For system secrets, as a file to forward.",
      command: "<%= config.bin %> <%= command.id %> --week --format html > secrets.html",
    },
    {
      description: "For a program.",
      command: "<%= config.bin %> <%= command.id %> --since 24h -o json",
    },
  ];
  static override flags = reportFlags;

  override async run(): Promise<void> {
    const { flags } = await this.parse(ReportSecrets);
    await this.report(flags, "secrets");
  }
}
