import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AlertSilenceSchema, AlertSilenceService } from "#proto/fleet/v1/alert_silence";
import { matchersFrom, matchFlag } from "../../../alert-flags.ts";
import { present } from "../../../answer.ts";
import { misused } from "../../../failure.ts";
import { FleetCommand } from "../../../fleet-command.ts";
import { durationFlag } from "../../../flags.ts";
import { countOf } from "../../../output/text.ts";
import { minuteOf } from "../../../people-view.ts";
import { reasonFlag } from "../../../people-flags.ts";

export default class AlertsSilenceAdd extends FleetCommand {
  static override summary = "Mark alerts that are known, for a while.";
  static override description =
    "Drops nothing: alerts that match are stored and counted as all others. Groups that are there are marked when their newest alert matches. It reaches no cluster outside of your scope.";
  static override examples = [
    {
      description: "A job that is known, until tomorrow.",
      command: `<%= config.bin %> <%= command.id %> --match 'rule="Exec into a pod", ka.user.name=~"system:serviceaccount:ops:.*"' --for 1d --reason "nightly backup"`,
    },
    {
      description: "A cluster under test.",
      command: `<%= config.bin %> <%= command.id %> --match cluster=eu-lab-1 --for 8h --reason "red team"`,
    },
  ];
  static override flags = {
    match: matchFlag("What is known; all matchers have to hold."),
    for: durationFlag("for", "It ends by itself after this; at most a year."),
    reason: reasonFlag("Why; everybody who sees the silence reads it."),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AlertsSilenceAdd);
    const matchers = matchersFrom(flags.match);
    const reason = flags.reason ?? "";
    if (matchers === "") throw misused("What is to be silent? A silence has matchers", "--match rule=NAME");
    if (flags.for === undefined) throw misused("For how long? A silence has an end", "--for 8h");
    if (reason.trim() === "") throw misused("Why? A silence has a reason", '--reason "nightly backup"');
    const service = await this.client(AlertSilenceService, flags);
    const expiresAt = timestampFromMs(this.screen.now() + flags.for * 1000);
    const added = await service.addAlertSilence({ matchers, reason, expiresAt });
    const silence = present(added.silence, "silence");
    this.answer(flags.output, AlertSilenceSchema, silence, () => [
      `${silence.id} holds until ${minuteOf(silence.expiresAt)} and marks ${countOf(Number(silence.groups), "group")}.`,
    ]);
  }
}
