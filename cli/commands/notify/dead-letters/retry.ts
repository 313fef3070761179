import { NotificationService, RetryDeadLettersResponseSchema } from "#proto/fleet/v1/notification";
import { misused, refused } from "../../../failure.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { optionalArg, textFlag } from "../../../flags.ts";
import { countOf } from "../../../output/text.ts";

export default class NotifyDeadLettersRetry extends FleetCommand {
  static override summary = "Send messages that were given up again, from the first attempt on.";
  static override description =
    "Of one message by its id, or all of a receiver. They tell what was, with its times; nothing is added.";
  static override examples = [
    {
      description: "After the chat is back.",
      command: "<%= config.bin %> <%= command.id %> --receiver soc-chat",
    },
    { description: "One of them.", command: "<%= config.bin %> <%= command.id %> nd_2f8c" },
  ];
  static override args = { message: optionalArg("Id of the message, as notify dead-letters list shows it.") };
  static override flags = { receiver: textFlag("receiver", "All messages of this receiver.", "NAME") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(NotifyDeadLettersRetry);
    const { message } = args;
    if ((message === undefined) === (flags.receiver === undefined)) {
      throw misused("Which messages? Give an id, or --receiver", "--receiver NAME   for all of a receiver");
    }
    const service = await this.client(NotificationService, flags);
    const ids = message === undefined ? [] : [message];
    const response = await service.retryDeadLetters({ ids, receiver: flags.receiver ?? "" });
    if (response.count === 0) {
      throw refused("There is no such dead letter", "fleetctl notify dead-letters list");
    }
    this.answer(flags.output, RetryDeadLettersResponseSchema, response, () => [
      `${countOf(response.count, "message")} will be sent again.`,
    ]);
  }
}
