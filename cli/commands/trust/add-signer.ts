import { requiredArg } from "../../flags.ts";
import { draftFlag, roleArg, roleFrom, RootCommand, thresholdFlag } from "../../root-command.ts";
import { readPublicKey } from "../../trust/signers.ts";

export default class TrustAddSigner extends RootCommand {
  static override summary = "Name a further key of a role in the next trust root.";
  static override description =
    "Begins the next root or changes its draft, unsigned. Only the public half of the key is read, and no program is run. Compare the key id with the one that its holder reads to you.";
  static override examples = [
    {
      description: "Take in a root key that somebody made with new-signer.",
      command: "<%= config.bin %> <%= command.id %> root root-grace.pub.pem",
    },
    {
      description: "A second targets key; from then on both have to sign.",
      command: "<%= config.bin %> <%= command.id %> targets kms.pub.pem --threshold 2",
    },
  ];
  static override args = {
    role: roleArg,
    key: requiredArg("Public key in PEM (Ed25519 or P-256), or a key file or reference of a trust folder."),
  };
  static override flags = { draft: draftFlag, threshold: thresholdFlag };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TrustAddSigner);
    const role = roleFrom(args.role);
    const key = readPublicKey(args.key);
    const present = await this.publishedRoot(flags);
    await this.draftNext(present, { add: [{ role, key }], thresholds: { [role]: flags.threshold } }, flags);
  }
}
