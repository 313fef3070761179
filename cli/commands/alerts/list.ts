import { create } from "@bufbuild/protobuf";
import { AlertService, ListAlertsResponseSchema } from "#proto/fleet/v1/alert";
import { alertFilterFrom, alertRangeFlags } from "../../alert-flags.ts";
import { alertColumns } from "../../alert-view.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag } from "../../flags.ts";
import { lookBack, stoppedText, untilText } from "../../look-back.ts";
import { renderTable } from "../../output/table.ts";

export default class AlertsList extends FleetCommand {
  static override summary = "List alerts, newest first.";
  static override description = "TIME is the time of the event that was caught.";
  static override examples = [
    {
      description: "What was severe in region eu in the last hour.",
      command: "<%= config.bin %> <%= command.id %> --region eu --min-priority critical --since 1h",
    },
    {
      description: "The audit ids that one rule caught.",
      command: `<%= config.bin %> <%= command.id %> --rule 'Exec into a pod' -o json | jq -r '.alerts[].auditId'`,
    },
  ];
  static override flags = {
    ...alertRangeFlags,
    limit: countFlag("limit", "At most so many; 50 if not given.", 1, 100_000),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AlertsList);
    const limit = flags.limit ?? 50;
    const filter = alertFilterFrom(flags, this.screen.now());
    const service = await this.client(AlertService, flags);
    const get = (pageToken: string) =>
      service.listAlerts({ filter, pageToken, pageSize: Math.min(limit, 500) });
    const found = await lookBack(get, (page) => page.alerts, {
      limit,
      noun: "alert",
      say: (line) => this.talk(line),
      now: () => this.screen.now(),
    });
    const { isMore, stopped } = found;
    const answer = create(ListAlertsResponseSchema, {
      alerts: [...found.items],
      ...(stopped?.at === undefined ? {} : { lookedBackTo: stopped.at }),
    });
    const { paint } = this.screen;
    this.answer(flags.output, ListAlertsResponseSchema, answer, (wide) =>
      answer.alerts.length === 0 ? [] : renderTable(answer.alerts, alertColumns, { wide, paint }),
    );
    if (stopped !== undefined) {
      const further = stopped.at === undefined ? "" : `, or go on with --until ${untilText(stopped.at)}`;
      this.talk(`${stoppedText(stopped)}: narrow it down${further}`);
      if (stopped.failure !== undefined) throw stopped.failure;
    } else if (answer.alerts.length === 0) {
      this.talk("No alert matches.");
      await this.talkOfNoCluster(filter.selector, flags);
    } else if (isMore) {
      this.talk(`There are more: --limit ${limit * 10}`);
    }
  }
}
