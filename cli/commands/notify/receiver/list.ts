import {
  ListReceiversResponseSchema,
  NotificationService,
  type Receiver,
} from "#proto/fleet/v1/notification";
import { FleetCommand } from "../../../fleet-command.ts";
import { renderTable, type Column } from "../../../output/table.ts";
import { ageOf } from "../../../views.ts";

export default class NotifyReceiverList extends FleetCommand {
  static override summary = "List where notifications and reports can go, and whether they get there.";
  static override description =
    "DEAD counts messages that were given up; FAILURE is what the last attempt met, empty once one got through. Secrets are shown by name only.";
  static override examples = [
    { description: "Whether all of them work.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "With settings and the names of secrets.",
      command: "<%= config.bin %> <%= command.id %> -o wide",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(NotifyReceiverList);
    const service = await this.client(NotificationService, flags);
    const response = await service.listReceivers({});
    const { receivers } = response;
    this.answer(flags.output, ListReceiversResponseSchema, response, (wide) =>
      receivers.length === 0 ? [] : renderTable(receivers, columns(this.screen.now()), { wide }),
    );
    if (receivers.length === 0) this.talk("There is none. To add one: fleetctl notify receiver add");
  }
}

const columns = (now: number): readonly Column<Receiver>[] => [
  { title: "NAME", cell: ({ name }) => name },
  { title: "KIND", cell: ({ kind }) => kind },
  { title: "SENT", align: "right", cell: ({ sentAt }) => (sentAt === undefined ? "-" : ageOf(sentAt, now)) },
  { title: "WAITING", align: "right", cell: ({ waiting }) => `${waiting}` },
  { title: "DEAD", align: "right", cell: ({ dead }) => `${dead}` },
  { title: "FAILURE", cell: ({ failure }) => failure || "-" },
  { title: "RATE", wide: true, cell: ({ perMinute }) => `${perMinute}/min` },
  {
    title: "SETTINGS",
    wide: true,
    cell: ({ settings }) =>
      Object.entries(settings)
        .map(([key, value]) => `${key}=${value}`)
        .join(" "),
  },
  { title: "SECRETS", wide: true, cell: ({ secretNames }) => secretNames.join(",") || "-" },
  { title: "BY", wide: true, cell: ({ createdBy }) => createdBy },
];
