import { AlertStepCommand, groupArgs, noteFlags } from "../../alert-steps.ts";

export default class AlertsResolve extends AlertStepCommand {
  static override summary = "Say that groups of alerts are dealt with.";
  static override description = "Nothing is deleted. The next alert that arrives opens a group again.";
  static override examples = [
    {
      description: "One group, with a word for whoever comes next.",
      command: '<%= config.bin %> <%= command.id %> gr_2f8c6t --note "a drill of the red team"',
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
    const { argv, flags } = await this.parse(AlertsResolve);
    await this.takeStep(argv, flags, (service, request) => service.resolveAlertGroups(request));
  }
}
