import { AlertStepCommand, groupArgs, noteFlags } from "../../alert-steps.ts";

export default class AlertsReopen extends AlertStepCommand {
  static override summary = "Open groups of alerts that were acknowledged or resolved.";
  static override description = "The history keeps what was said before. Nothing else is changed.";
  static override examples = [
    {
      description: "One group, with a word for whoever comes next.",
      command: '<%= config.bin %> <%= command.id %> gr_2f8c6t --note "it was no drill"',
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
    const { argv, flags } = await this.parse(AlertsReopen);
    await this.takeStep(argv, flags, (service, request) => service.reopenAlertGroups(request));
  }
}
