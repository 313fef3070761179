import { ReportCommand, reportFlags } from "../../report/report-command.ts";

export default class ReportPrivileges extends ReportCommand {
  static override summary = "Report who granted or took privileges.";
  static override description =
    "Rules with a tag rbac, identity or workload: roles and bindings, tokens and impersonation, pods that reach out of their container. Alerts of one event are one act.";
  static override examples = [
    {
      description: "For region eu, without the names of people.",
      command:
        "<%= config.bin %> <%= command.id %> --region eu --redact user,address --format csv > privileges.csv",
    },
    {
      description: "What was severe, in the terminal.",
      command: "<%= config.bin %> <%= command.id %> --min-priority error",
    },
  ];
  static override flags = reportFlags;

  override async run(): Promise<void> {
    const { flags } = await this.parse(ReportPrivileges);
    await this.report(flags, "privileges");
  }
}
