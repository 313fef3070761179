import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { type Alert, AlertSchema, AlertService } from "#proto/fleet/v1/alert";
import { AlertGroupService, GetAlertGroupResponseSchema } from "#proto/fleet/v1/alert_group";
import { timeFrom } from "../../alert-flags.ts";
import { groupLines } from "../../alert-group-view.ts";
import { alertLines } from "../../alert-view.ts";
import { misused, refused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg, textFlag } from "../../flags.ts";
import { pages } from "../../pages.ts";

/** How far back an alert is looked for when nothing is said. */
const sinceDefault = "24h";
/** After the time of any alert, whatever a cluster's clock says. */
const latestMs = Date.UTC(9999, 11, 31);

export default class AlertsShow extends FleetCommand {
  static override summary = "Show a group of alerts with what was done about it, or one alert whole.";
  static override description =
    "Changes nothing: looking is no acknowledgement. A group has an id like gr_2f8c6t, an alert one of 64 hexadecimal digits.";
  static override examples = [
    { description: "All about a group.", command: "<%= config.bin %> <%= command.id %> gr_2f8c6t" },
    {
      description: "Who did what about it.",
      command: "<%= config.bin %> <%= command.id %> gr_2f8c6t -o json | jq '.acts'",
    },
    {
      description: "The newest critical alert, with its fields and responses.",
      command: `<%= config.bin %> <%= command.id %> "$(fleetctl alerts list --min-priority critical --limit 1 -o json | jq -r '.alerts[0].id')"`,
    },
  ];
  static override args = {
    id: requiredArg(
      "Id of the group, as alerts groups shows it, or of the alert, as alerts list -o wide does.",
    ),
  };
  static override flags = {
    since: textFlag(
      "since",
      `How far back an alert is looked for: a duration back from now, or an RFC 3339 time; ${sinceDefault} if not given.`,
      "7d|TIME",
    ),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(AlertsShow);
    if (/^[0-9a-f]{64}$/.test(args.id)) {
      const service = await this.client(AlertService, flags);
      const back = flags.since ?? sinceDefault;
      const [alert, ...others] = await findAlerts(service, args.id, back, this.screen.now());
      this.answer(flags.output, AlertSchema, alert, () => alertLines(alert));
      if (others.length > 0) {
        const names = others.map(({ clusterName }) => clusterName).join(", ");
        this.talk(`This is the one of ${alert.clusterName}. These sent an alert with the same id: ${names}`);
      }
      return;
    }
    if (flags.since !== undefined) {
      throw misused(
        "--since says how far back an alert is looked for; a group is found without it",
        `fleetctl alerts show ${args.id}`,
      );
    }
    const service = await this.client(AlertGroupService, flags);
    const answer = await service.getAlertGroup({ groupId: args.id });
    this.answer(flags.output, GetAlertGroupResponseSchema, answer, () => groupLines(answer));
  }
}

/**
 * The newest alert with an id, and others that have it and lie beside it: agents make ids out of their cluster and what was caught, and
 * nobody holds one to that. Each call looks at a bounded number of alerts, so that there may be empty pages before the one that holds it.
 */
async function findAlerts(
  service: Client<typeof AlertService>,
  alertId: string,
  back: string,
  now: number,
): Promise<readonly [Alert, ...Alert[]]> {
  // With an end of its own, because a list without one leaves out what a clock that is ahead has stamped.
  const filter = { since: timestampFromMs(timeFrom(back, "--since", now)), until: timestampFromMs(latestMs) };
  const get = (pageToken: string) => service.listAlerts({ alertId, filter, pageSize: 10, pageToken });
  for await (const { alerts } of pages(get)) {
    const [alert, ...others] = alerts;
    if (alert !== undefined) return [alert, ...others];
  }
  throw refused(`No alert since ${back} has the id ${alertId}`, "Look further back: --since 30d");
}
