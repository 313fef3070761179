import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutCommand } from "../../rollout-command.ts";
import { layerFlag, rolloutFlags, shadowFlags } from "../../rollout-flags.ts";

export default class RolloutRules extends RolloutCommand {
  static override summary =
    "Roll a rules bundle, or a layer, out to the clusters of a selector, wave by wave.";
  static override description =
    "A wave passes when each of its clusters proves the new bundle, or the release of the layer. Ends with exit code 1 when it was watched and did not succeed. Without a selector it is for every cluster.";
  static override examples = [
    {
      description: "Show what would happen in region eu.",
      command: "<%= config.bin %> <%= command.id %> --region eu --dry-run",
    },
    {
      description:
        "Two canaries, then waves that double, each quiet for ten minutes; go back when one fails.",
      command:
        "<%= config.bin %> <%= command.id %> --bundle starter@1.2.0 --region eu --canary 2 --growth 2 --soak 10m --on-failure rollback",
    },
    {
      description: "See for half an hour what the bundle would change, then decide.",
      command: "<%= config.bin %> <%= command.id %> --bundle starter@1.2.0 -l team=payments --shadow 30m",
    },
    {
      description: "Test clusters before prod, ten percent at a time; those that are offline get it later.",
      command:
        "<%= config.bin %> <%= command.id %> --all --stages environment=test,prod --max-unavailable 10% --offline skip",
    },
    {
      description: "A release of the layer that the team payments owns, on the clusters of its delegation.",
      command: "<%= config.bin %> <%= command.id %> --layer payments@1.0.0 --canary 1 --soak 10m",
    },
  ];
  static override flags = { ...rolloutFlags, ...shadowFlags, layer: layerFlag };

  override async run(): Promise<void> {
    const { flags } = await this.parse(RolloutRules);
    await this.start(flags.layer === undefined ? BundleKind.RULES : BundleKind.LAYER, flags);
  }
}
