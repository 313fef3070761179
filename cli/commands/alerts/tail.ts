import { AlertSchema, AlertService } from "#proto/fleet/v1/alert";
import { alertFilterFrom, alertFlags } from "../../alert-flags.ts";
import { alertLine } from "../../alert-view.ts";
import { exitCodes, Failure } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag } from "../../flags.ts";

export default class AlertsTail extends FleetCommand {
  static override summary = "Print alerts as they arrive, until interrupted.";
  static override description = "With -o json each alert is one line of JSON.";
  static override examples = [
    {
      description: "Everything that team payments' clusters catch.",
      command: "<%= config.bin %> <%= command.id %> --team payments",
    },
    {
      description: "Wait for one alert of a rule, for at most as long as timeout says.",
      command: "timeout 60 <%= config.bin %> <%= command.id %> --rule 'Exec into a pod' --limit 1 -o json",
    },
  ];
  static override flags = {
    ...alertFlags,
    limit: countFlag("limit", "End after so many; without it, go on until interrupted.", 1, 1_000_000),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AlertsTail);
    const filter = alertFilterFrom(flags, this.screen.now());
    const service = await this.client(AlertService, flags);
    let left = flags.limit ?? Infinity;
    await this.screen.interruptible(async (signal) => {
      try {
        for await (const { alerts } of service.tailAlerts({ filter }, { signal, timeoutMs: 0 })) {
          for (const alert of alerts.slice(0, left)) {
            this.answerNext(flags.output, AlertSchema, alert, () => [alertLine(alert, this.screen.paint)]);
          }
          left -= alerts.length;
          if (left <= 0) return;
        }
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      throw new Failure(exitCodes.away, "The server ended the stream of alerts", [
        "Run it again. To see what arrived meanwhile: fleetctl alerts list --since 10m",
      ]);
    });
  }
}
