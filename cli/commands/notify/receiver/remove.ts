import { NotificationService, RemoveReceiverResponseSchema } from "#proto/fleet/v1/notification";
import { FleetCommand } from "../../../fleet-command.ts";
import { requiredArg } from "../../../flags.ts";
import { clean } from "../../../output/text.ts";

export default class NotifyReceiverRemove extends FleetCommand {
  static override summary = "Remove a receiver, with its secrets and what waits for it.";
  static override description = "Refused while a route leads to it. Its dead letters go too.";
  static override examples = [
    { description: "A channel that is no more.", command: "<%= config.bin %> <%= command.id %> old-chat" },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> old-chat -o json",
    },
  ];
  static override args = { receiver: requiredArg("Name of the receiver.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(NotifyReceiverRemove);
    const service = await this.client(NotificationService, flags);
    const response = await service.removeReceiver({ name: args.receiver });
    this.answer(flags.output, RemoveReceiverResponseSchema, response, () => [
      `Removed receiver ${clean(args.receiver)}.`,
    ]);
  }
}
