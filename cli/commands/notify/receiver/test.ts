import { NotificationService, TestReceiverResponseSchema } from "#proto/fleet/v1/notification";
import { refused } from "../../../failure.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { requiredArg } from "../../../flags.ts";
import { clean } from "../../../output/text.ts";

export default class NotifyReceiverTest extends FleetCommand {
  static override summary = "Send one real message to a receiver and say what came of it.";
  static override description =
    "The server sends it now, once, and does not try again. Exit code 1 when it was not taken.";
  static override examples = [
    { description: "After adding one.", command: "<%= config.bin %> <%= command.id %> soc-chat" },
    {
      description: "The answer for a script.",
      command: "<%= config.bin %> <%= command.id %> soc-chat -o json",
    },
  ];
  static override args = { receiver: requiredArg("Name of the receiver.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(NotifyReceiverTest);
    const service = await this.client(NotificationService, flags);
    const response = await service.testReceiver({ name: args.receiver });
    const words = clean(response.words);
    if (flags.output !== "table" && flags.output !== "wide") {
      this.answer(flags.output, TestReceiverResponseSchema, response, () => []);
    } else if (response.delivered) this.say([`Delivered: ${words}`]);
    if (!response.delivered) throw refused(`The message was not delivered: ${words}`);
  }
}
