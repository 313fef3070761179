import { requiredArg, textFlag } from "../../flags.ts";
import { keyFlags } from "../../signing.ts";
import { SigningCommand } from "../../signing-command.ts";

export default class TrustRevokeLayer extends SigningCommand {
  static override summary = "Take a layer back from its team: it goes from every cluster that runs it.";
  static override description =
    "Signs the next targets metadata without the delegation, as bundle sign does, and publishes nothing. Once it is published, agents take the layer away, also without a rollout; the rules under it go on.";
  static override examples = [
    {
      description: "The layer payments is nobody's any more.",
      command: "<%= config.bin %> <%= command.id %> payments",
    },
    {
      description: "With the keys of another folder; a colleague adds the second signature.",
      command: "<%= config.bin %> <%= command.id %> payments --dir ada",
    },
  ];
  static override args = { layer: requiredArg("Name of the layer, see trust status.") };
  static override flags = {
    ...keyFlags,
    out: textFlag("out", "File to write; targets.json if not given.", "FILE"),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TrustRevokeLayer);
    const signed = await this.sign({ bundles: [], revoke: [args.layer] }, flags);
    await this.tell(signed, flags.out ?? "targets.json", flags.output);
  }
}
