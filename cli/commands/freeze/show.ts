import { FreezeService, GetFreezeResponseSchema } from "#proto/fleet/v1/freeze";
import { FleetCommand } from "../../fleet-command.ts";
import { freezeText } from "../../people-view.ts";

export default class FreezeShow extends FleetCommand {
  static override summary = "Show whether the fleet is frozen, and the last freezes.";
  static override description = "Changes nothing. Ends with exit code 0 whether it is frozen or not.";
  static override examples = [
    { description: "Is it frozen, and why?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "For a script.",
      command: "<%= config.bin %> <%= command.id %> -o json | jq -r '.freeze.reason // \"not frozen\"'",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(FreezeShow);
    const service = await this.client(FreezeService, flags);
    const answer = await service.getFreeze({});
    this.answer(flags.output, GetFreezeResponseSchema, answer, () => [
      answer.freeze === undefined ? "The fleet is not frozen." : `Frozen ${freezeText(answer.freeze)}`,
      ...answer.past.map((each) => `  before: ${freezeText(each)}`),
    ]);
  }
}
