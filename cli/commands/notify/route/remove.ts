import { NotificationService, RemoveRouteResponseSchema } from "#proto/fleet/v1/notification";
import { FleetCommand } from "../../../fleet-command.ts";
import { requiredArg } from "../../../flags.ts";
import { clean } from "../../../output/text.ts";

export default class NotifyRouteRemove extends FleetCommand {
  static override summary = "Remove a route, with what it was gathering.";
  static override description = "Messages that wait already are still delivered.";
  static override examples = [
    {
      description: "A team that wants no messages.",
      command: "<%= config.bin %> <%= command.id %> payments",
    },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> payments -o json",
    },
  ];
  static override args = { route: requiredArg("Name of the route.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(NotifyRouteRemove);
    const service = await this.client(NotificationService, flags);
    const response = await service.removeRoute({ name: args.route });
    this.answer(flags.output, RemoveRouteResponseSchema, response, () => [
      `Removed route ${clean(args.route)}.`,
    ]);
  }
}
