import { AuditService } from "#proto/fleet/v1/audit";
import { exportLines } from "../../audit/export-file.ts";
import { FleetCommand } from "../../fleet-command.ts";

export default class AuditExport extends FleetCommand {
  static override summary = "Print the whole audit log with everything that it takes to verify it.";
  static override description =
    "One JSON value per line, whatever -o says: trust roots, signed heads, the heads that agents carry, then the rows, oldest first. Nothing is removed from the server.";
  static override examples = [
    {
      description: "Keep a copy, and verify it where the server cannot reach.",
      command:
        "<%= config.bin %> <%= command.id %> > audit.jsonl && <%= config.bin %> audit verify --file audit.jsonl",
    },
    {
      description: "The entries alone, for a tool that reads JSON lines.",
      command: `<%= config.bin %> <%= command.id %> | jq -c '.rows[]?.body | fromjson'`,
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(AuditExport);
    const service = await this.client(AuditService, flags);
    let rows = 0;
    for await (const part of service.exportAudit({})) {
      rows += part.rows.length;
      this.say(exportLines(part));
      await this.screen.drained();
    }
    this.talk(`${rows} rows.`);
  }
}
