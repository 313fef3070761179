import { requiredArg } from "../../flags.ts";
import { draftFlag, roleArg, roleFrom, RootCommand, thresholdFlag } from "../../root-command.ts";

export default class TrustRemoveSigner extends RootCommand {
  static override summary = "Leave a key of a role out of the next trust root.";
  static override description =
    "Begins the next root or changes its draft, unsigned. Once that root is published the key signs nothing any more, and what it signed for the role alone counts no longer. Refused when too few keys would be left for the threshold.";
  static override examples = [
    {
      description: "Leave a root key out, by the first digits of its id.",
      command: "<%= config.bin %> <%= command.id %> root 3f9a02c17be4",
    },
    {
      description: "Leave a lost targets key out, and need one signature fewer.",
      command: "<%= config.bin %> <%= command.id %> targets 3f9a02c17be4 --threshold 1",
    },
  ];
  static override args = {
    role: roleArg,
    key: requiredArg("Key id, or its first digits; trust status shows them."),
  };
  static override flags = { draft: draftFlag, threshold: thresholdFlag };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TrustRemoveSigner);
    const role = roleFrom(args.role);
    const present = await this.publishedRoot(flags);
    const change = { remove: [{ role, keyId: args.key }], thresholds: { [role]: flags.threshold } };
    await this.draftNext(present, change, flags);
  }
}
