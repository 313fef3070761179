import {
  ListDeadLettersResponseSchema,
  NotificationService,
  type DeadLetter,
} from "#proto/fleet/v1/notification";
import { FleetCommand } from "../../../fleet-command.ts";
import { textFlag } from "../../../flags.ts";
import { renderTable, type Column } from "../../../output/table.ts";
import { ageOf } from "../../../views.ts";

export default class NotifyDeadLettersList extends FleetCommand {
  static override summary = "List messages that were given up, newest first.";
  static override description =
    "A message is given up when its receiver refuses it, or after twelve attempts, which takes about two hours. It is kept for 30 days.";
  static override examples = [
    { description: "What nobody heard of.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Of one receiver, with ids.",
      command: "<%= config.bin %> <%= command.id %> --receiver soc-chat -o wide",
    },
  ];
  static override flags = { receiver: textFlag("receiver", "Only of this receiver.", "NAME") };

  override async run(): Promise<void> {
    const { flags } = await this.parse(NotifyDeadLettersList);
    const service = await this.client(NotificationService, flags);
    const response = await service.listDeadLetters({ receiver: flags.receiver ?? "" });
    const { deadLetters } = response;
    this.answer(flags.output, ListDeadLettersResponseSchema, response, (wide) =>
      deadLetters.length === 0 ? [] : renderTable(deadLetters, columns(this.screen.now()), { wide }),
    );
    if (deadLetters.length === 0) this.talk("Every message got through, or is still being tried.");
    else this.talk("To send them again: fleetctl notify dead-letters retry --receiver NAME, or ID ...");
  }
}

const columns = (now: number): readonly Column<DeadLetter>[] => [
  { title: "ID", cell: ({ id }) => id },
  { title: "RECEIVER", cell: ({ receiver }) => receiver },
  { title: "SUBJECT", cell: ({ subject }) => subject },
  { title: "AGE", align: "right", cell: ({ deadAt }) => ageOf(deadAt, now) },
  { title: "FAILURE", cell: ({ failure }) => failure },
  { title: "ROUTE", wide: true, cell: ({ route }) => route },
  { title: "ATTEMPTS", wide: true, align: "right", cell: ({ attempts }) => `${attempts}` },
];
