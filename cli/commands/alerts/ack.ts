import { AlertStepCommand, groupArgs, noteFlags } from "../../alert-steps.ts";

export default class AlertsAck extends AlertStepCommand {
  static override summary = "Say that you look after groups of alerts.";
  static override description =
    "They stay acknowledged when more alerts come. Nothing is deleted, and whoever is notified elsewhere stays so.";
  static override examples = [
    {
      description: "One group, with a word for whoever comes next.",
      command: '<%= config.bin %> <%= command.id %> gr_2f8c6t --note "I look"',
    },
    {
      description: "All that one rule has, at most a hundred.",
      command:
        "<%= config.bin %> alerts groups --rule 'Exec into a pod' --state all -o json | jq -r '.groups[].id' | xargs <%= config.bin %> <%= command.id %>",
    },
  ];

  static override strict = false;
  static override args = groupArgs;
  static override flags = noteFlags;

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(AlertsAck);
    await this.takeStep(argv, flags, (service, request) => service.acknowledgeAlertGroups(request));
  }
}
