import { GetShadowResponseSchema, RolloutService } from "#proto/fleet/v1/rollout";
import { optionalArg } from "../../../flags.ts";
import { RolloutCommand } from "../../../rollout-command.ts";
import { shadowLines } from "../../../shadow-view.ts";

export default class RolloutShadowShow extends RolloutCommand {
  static override summary = "Show what a bundle would change, per rule, as the clusters evaluated it.";
  static override description =
    "For a rollout that was started with --shadow. NOW are alerts of the rules that run, THEN those of the candidate over the same events; NEW and GONE are events over which only one of the two raised the rule. Without an id it is the newest rollout.";
  static override examples = [
    { description: "The newest rollout.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Rules that would raise more.",
      command: `<%= config.bin %> <%= command.id %> ro_7f3a -o json | jq '.rules[] | select(.new != null) | .rule'`,
    },
  ];
  static override args = { rollout: optionalArg("Id of the rollout.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutShadowShow);
    const rolloutId = await this.idOrNewest(args.rollout, flags);
    const service = await this.client(RolloutService, flags);
    const found = await service.getShadow({ rolloutId });
    this.answer(flags.output, GetShadowResponseSchema, found, (wide) =>
      shadowLines(found, { wide, paint: this.screen.paint }),
    );
  }
}
