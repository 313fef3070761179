import { AlertSilenceSchema, AlertSilenceService } from "#proto/fleet/v1/alert_silence";
import { present } from "../../../answer.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { requiredArg } from "../../../flags.ts";
import { clean } from "../../../output/text.ts";

export default class AlertsSilenceRemove extends FleetCommand {
  static override summary = "End a silence now.";
  static override description =
    "Groups that it marked are no longer silenced, unless another silence meets their newest alert. No state is changed.";
  static override examples = [
    { description: "The test is over.", command: "<%= config.bin %> <%= command.id %> si_2f8c6t" },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> si_2f8c6t -o json",
    },
  ];
  static override args = { silence: requiredArg("Id of the silence, as alerts silence list shows it.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(AlertsSilenceRemove);
    const service = await this.client(AlertSilenceService, flags);
    const silence = present((await service.removeAlertSilence({ id: args.silence })).silence, "silence");
    this.answer(flags.output, AlertSilenceSchema, silence, () => [
      `Ended ${silence.id}: ${clean(silence.matchers)}`,
    ]);
  }
}
