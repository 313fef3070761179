import { AlertSilenceService, ListAlertSilencesResponseSchema } from "#proto/fleet/v1/alert_silence";
import { silenceColumns } from "../../../alert-group-view.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { switchFlag } from "../../../flags.ts";
import { renderTable } from "../../../output/table.ts";

export default class AlertsSilenceList extends FleetCommand {
  static override summary = "List silences, newest first.";
  static override description =
    "Changes nothing. With a scope it leaves out silences that reach clusters outside of it.";
  static override examples = [
    { description: "What is silent now, and why.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Also what ended in the last 30 days.",
      command: "<%= config.bin %> <%= command.id %> --ended -o wide",
    },
  ];
  static override flags = { ended: switchFlag("ended", "Also those that are over.") };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AlertsSilenceList);
    const service = await this.client(AlertSilenceService, flags);
    const answer = await service.listAlertSilences({ includeEnded: flags.ended });
    const columns = silenceColumns(this.screen.now());
    this.answer(flags.output, ListAlertSilencesResponseSchema, answer, (wide) =>
      answer.silences.length === 0 ? [] : renderTable(answer.silences, columns, { wide }),
    );
    if (answer.silences.length === 0) this.talk("Nothing is silenced.");
  }
}
