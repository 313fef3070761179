import { AlertSchema, AlertService, type TailAlertsResponse } from "#proto/fleet/v1/alert";
import { alertFilterFrom, alertFlags } from "../../alert-flags.ts";
import { alertLine } from "../../alert-view.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag, textFlag } from "../../flags.ts";
import { followToRest } from "../../follow.ts";

export default class AlertsTail extends FleetCommand {
  static override summary = "Print alerts as they arrive, until interrupted.";
  static override description =
    "With -o json each alert is one line of JSON. A server that goes away for a while is asked again, and nothing that arrived meanwhile is left out.";
  static override examples = [
    {
      description: "Everything that team payments' clusters catch.",
      command: "<%= config.bin %> <%= command.id %> --team payments",
    },
    {
      description: "What the last hour brought, and then what comes.",
      command: "<%= config.bin %> <%= command.id %> --since 1h",
    },
    {
      description: "Wait for one alert of a rule, for at most as long as timeout says.",
      command: "timeout 60 <%= config.bin %> <%= command.id %> --rule 'Exec into a pod' --limit 1 -o json",
    },
  ];
  static override flags = {
    ...alertFlags,
    since: textFlag(
      "since",
      "Begin with the alerts stored since this time, whenever their events were: a duration back from now, or an RFC 3339 time. Without it, with those that arrive from now on.",
      "1h|TIME",
    ),
    limit: countFlag("limit", "End after so many; without it, go on until interrupted.", 1, 1_000_000),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AlertsTail);
    const filter = alertFilterFrom(flags, this.screen.now());
    const service = await this.client(AlertService, flags);
    await this.talkOfNoCluster(filter.selector, flags);
    const isNew = firstTimes();
    let left = flags.limit ?? Infinity;
    let place = "";
    const take = (message: TailAlertsResponse) => {
      const fresh = message.alerts.filter(({ clusterId, id }) => isNew(`${clusterId} ${id}`)).slice(0, left);
      for (const alert of fresh) {
        this.answerNext(flags.output, AlertSchema, alert, () => [alertLine(alert, this.screen.paint)]);
      }
      left -= fresh.length;
      // A server that tells no place is an older one: another tail begins there at its own now.
      place = message.place;
      return left <= 0 ? true : undefined;
    };
    await this.screen.interruptible(async (signal) => {
      const watch = () => service.tailAlerts({ filter, place }, { signal, timeoutMs: 0 });
      try {
        await followToRest(watch, "detection", this.screen, signal, take, "not yet");
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    });
  }
}

/** More than a server tells again where a tail goes on. */
const rememberedMax = 20_000;

/** Whether something comes for the first time, as far as is remembered. */
function firstTimes(): (key: string) => boolean {
  const seen = new Set<string>();
  return (key) => {
    if (seen.has(key)) return false;
    seen.add(key);
    const [oldest] = seen;
    if (seen.size > rememberedMax && oldest !== undefined) seen.delete(oldest);
    return true;
  };
}
