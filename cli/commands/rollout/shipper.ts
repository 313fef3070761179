import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutCommand } from "../../rollout-command.ts";
import { rolloutFlags } from "../../rollout-flags.ts";

export default class RolloutShipper extends RolloutCommand {
  static override summary = "Roll a shipper config out to the clusters of a selector, wave by wave.";
  static override description =
    "A wave passes when each of its clusters proves the new bundle. Ends with exit code 1 when it was watched and did not succeed. Without a selector it is for every cluster.";
  static override examples = [
    {
      description: "The newest shipper config to all staging clusters.",
      command: "<%= config.bin %> <%= command.id %> -l environment=stage",
    },
    {
      description: "Start it from CI and fail the job unless every cluster proves it.",
      command: "<%= config.bin %> <%= command.id %> --bundle elastic@3.0.0 --region eu,us --watch",
    },
  ];
  static override flags = rolloutFlags;

  override async run(): Promise<void> {
    const { flags } = await this.parse(RolloutShipper);
    await this.start(BundleKind.SHIPPER, flags);
  }
}
