import { NotificationService, RouteSchema } from "#proto/fleet/v1/notification";
import { present } from "../../../answer.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { durationFlag, envOf, listFlag, requiredArg, switchFlag, valuesOf } from "../../../flags.ts";
import { Flags } from "../../../oclif.ts";
import { clean } from "../../../output/text.ts";

export default class NotifyRouteAdd extends FleetCommand {
  static override summary = "Lead alerts and states of the fleet to a receiver.";
  static override description =
    'Routes are asked in the order in which they were added; the first that takes something ends it, unless it was added with --continue. States of the fleet have source="falconry" and a rule such as "Agent silent". A route sees what happens from now on.';
  static override examples = [
    {
      description: "What is severe in production, to whoever is on call, and further to other routes.",
      command:
        "<%= config.bin %> <%= command.id %> oncall --to pager --match 'priority>=critical, environment=prod' --continue",
    },
    {
      description: "What is wrong with the fleet itself, one message for a region.",
      command:
        "<%= config.bin %> <%= command.id %> platform --to platform-chat --match source=falconry --group-by rule,region",
    },
  ];
  static override args = { route: requiredArg("Name of the route.") };
  static override flags = {
    to: Flags.string({
      summary: "Name of the receiver.",
      helpValue: "RECEIVER",
      required: true,
      env: envOf("to"),
    }),
    match: Flags.string({
      summary: "What it takes, in the language of alert filters; everything if not given.",
      helpValue: "MATCHERS",
      env: envOf("match"),
    }),
    "group-by": listFlag(
      "group-by",
      "What has the same values of these is told together; rule,cluster if not given.",
      "NAME",
    ),
    wait: durationFlag("wait", "From the first news until it is told; 30s if not given."),
    interval: durationFlag("interval", "Between messages of a group when there is news; 5m if not given."),
    repeat: durationFlag("repeat", "Until what goes on is told again; 4h if not given."),
    continue: switchFlag("continue", "Show what it takes to the routes after it as well."),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(NotifyRouteAdd);
    const service = await this.client(NotificationService, flags);
    const { route } = await service.addRoute({
      name: args.route,
      receiver: flags.to,
      matchers: flags.match ?? "",
      groupBy: valuesOf(flags["group-by"]),
      waitMs: 1000 * (flags.wait ?? 0),
      intervalMs: 1000 * (flags.interval ?? 0),
      repeatMs: 1000 * (flags.repeat ?? 0),
      goesOn: flags.continue,
    });
    const made = present(route, "route");
    this.answer(flags.output, RouteSchema, made, () => [
      `Route ${clean(made.name)} leads to ${clean(made.receiver)}.`,
    ]);
  }
}
