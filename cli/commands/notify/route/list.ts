import { ListRoutesResponseSchema, NotificationService, type Route } from "#proto/fleet/v1/notification";
import { FleetCommand } from "../../../fleet-command.ts";
import { renderSpan } from "../../../output/quantity.ts";
import { renderTable, type Column } from "../../../output/table.ts";

export default class NotifyRouteList extends FleetCommand {
  static override summary = "List which alerts and states go where, in the order in which routes are asked.";
  static override description =
    "The first route that takes something ends it, unless THEN says that it goes on.";
  static override examples = [
    { description: "Who hears of what.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "With how messages are grouped and repeated.",
      command: "<%= config.bin %> <%= command.id %> -o wide",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(NotifyRouteList);
    const service = await this.client(NotificationService, flags);
    const response = await service.listRoutes({});
    const { routes } = response;
    this.answer(flags.output, ListRoutesResponseSchema, response, (wide) =>
      routes.length === 0 ? [] : renderTable(routes, columns, { wide }),
    );
    if (routes.length === 0) {
      this.talk("There is none, so nobody is told anything. To add one: fleetctl notify route add");
    }
  }
}

const columns: readonly Column<Route>[] = [
  { title: "NAME", cell: ({ name }) => name },
  { title: "TO", cell: ({ receiver }) => receiver },
  { title: "MATCHERS", cell: ({ matchers }) => matchers || "everything" },
  { title: "THEN", cell: ({ goesOn }) => (goesOn ? "goes on" : "ends") },
  { title: "GROUP BY", wide: true, cell: ({ groupBy }) => groupBy.join(",") },
  { title: "WAIT", wide: true, cell: ({ waitMs }) => renderSpan(waitMs) },
  { title: "INTERVAL", wide: true, cell: ({ intervalMs }) => renderSpan(intervalMs) },
  { title: "REPEAT", wide: true, cell: ({ repeatMs }) => renderSpan(repeatMs) },
  { title: "BY", wide: true, cell: ({ createdBy }) => createdBy },
];
