import { NotificationService, ReceiverSchema } from "#proto/fleet/v1/notification";
import { present } from "../../../answer.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { countFlag, envOf, requiredArg, switchFlag } from "../../../flags.ts";
import { pairsFrom, secretsFrom } from "../../../notify-flags.ts";
import { Flags } from "../../../oclif.ts";
import { clean } from "../../../output/text.ts";

export default class NotifyReceiverAdd extends FleetCommand {
  static override summary = "Add a place where notifications and reports can go.";
  static override description =
    "Nothing is sent yet: try it with notify receiver test, then lead routes to it. Settings are shown to whoever may list receivers; secrets (tokens, passwords, whole URLs of chats) come from files or standard input, are sealed by the server and never shown again. docs/notifications.md has the settings and secrets of each kind.";
  static override examples = [
    {
      description: "A channel of a chat that speaks Slack's incoming webhooks.",
      command: "<%= config.bin %> <%= command.id %> soc-chat --kind slack --secret-file url=./slack-url",
    },
    {
      description: "Mail through a relay, with the password from standard input.",
      command:
        "<%= config.bin %> <%= command.id %> soc-mail --kind smtp --set host=smtp.example.com --set from=falconry@example.com --set to=soc@example.com --set username=falconry --secret-file password=-",
    },
    {
      description: "An Alertmanager inside, which FALCONRY_NOTIFY_NETWORKS of the server has to open.",
      command:
        "<%= config.bin %> <%= command.id %> alertmanager --kind alertmanager --set url=http://alertmanager.monitoring:9093",
    },
  ];
  static override args = { receiver: requiredArg("Name of the receiver.") };
  static override flags = {
    kind: Flags.option({
      summary: "What speaks there.",
      options: ["alertmanager", "slack", "pagerduty", "webhook", "smtp"] as const,
      required: true,
      env: envOf("kind"),
    })(),
    set: Flags.string({
      summary: "A setting; may be given several times.",
      helpValue: "KEY=VALUE",
      env: envOf("set"),
      multiple: true,
      multipleNonGreedy: true,
    }),
    "secret-file": Flags.string({
      summary: "A secret, from a file or, with -, from standard input; may be given several times.",
      helpValue: "NAME=FILE",
      env: envOf("secret-file"),
      multiple: true,
      multipleNonGreedy: true,
    }),
    "per-minute": countFlag("per-minute", "Most messages in a minute; 20 if not given.", 1, 600),
    replace: switchFlag("replace", "Take the place of the receiver of this name, whole."),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(NotifyReceiverAdd);
    const secrets = await secretsFrom(flags["secret-file"], (max) => this.screen.readInput(max));
    const service = await this.client(NotificationService, flags);
    const { receiver } = await service.putReceiver({
      name: args.receiver,
      kind: flags.kind,
      settings: pairsFrom(flags.set, "set"),
      secrets,
      perMinute: flags["per-minute"] ?? 0,
      replace: flags.replace,
    });
    const made = present(receiver, "receiver");
    this.answer(flags.output, ReceiverSchema, made, () => [
      `Receiver ${clean(made.name)} (${made.kind}) is there.`,
    ]);
    this.talk(`To try it: fleetctl notify receiver test ${clean(made.name)}`);
  }
}
