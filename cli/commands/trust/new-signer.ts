import { layerOfRole } from "#trust";
import { Flags } from "../../oclif.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf, requiredArg, textFlag } from "../../flags.ts";
import { misused } from "../../failure.ts";
import { keyFlags, passphraseFrom, trustDirectory } from "../../signing.ts";
import { newSigner } from "../../trust/new-signer.ts";
import { signerRole } from "../../trust/signers.ts";

export default class TrustNewSigner extends FleetCommand {
  static override summary = "Make an offline key of your own, in your trust folder.";
  static override description =
    "Writes the key, and its public half beside it, which somebody takes into the next root with add-signer. Needs no server. The key may sign nothing before that root is published. A team makes the key of its layer in the same way; trust delegate names that.";
  static override examples = [
    {
      description: "Grace makes a root key and hands over root-grace.pub.pem.",
      command: "<%= config.bin %> <%= command.id %> root --name grace --dir grace",
    },
    {
      description: "A targets key for CI, sealed with a passphrase from a file.",
      command: "<%= config.bin %> <%= command.id %> targets --name ci --dir ci --passphrase-file pass.txt",
    },
    {
      description: "The key with which a team releases its layer payments.",
      command: "<%= config.bin %> <%= command.id %> layer-payments --dir payments",
    },
  ];
  static override args = { role: requiredArg("root, targets, or layer-NAME.") };
  static override flags = {
    ...keyFlags,
    name: textFlag("name", "Part of the files' names: ROLE-NAME.key.json.", "NAME"),
    "insecure-plain-keys": Flags.boolean({
      summary: "Write the key without a passphrase: whoever reads the folder can sign. For trying things.",
      env: envOf("insecure-plain-keys"),
      exclusive: ["passphrase-file"],
    }),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TrustNewSigner);
    const role = signerRole(args.role);
    if (role === undefined) {
      throw misused(
        `"${args.role.slice(0, 80)}" is no role with offline keys`,
        "root, or targets, or layer-NAME such as layer-payments",
      );
    }
    const dir = trustDirectory(flags.dir);
    const passphrase = flags["insecure-plain-keys"]
      ? undefined
      : await passphraseFrom(flags["passphrase-file"], this.screen, true);
    const { file, publicFile, key } = newSigner({ dir, role, name: flags.name, passphrase });
    this.answerWith(
      flags.output,
      () => ({ role, keyId: key.keyId, file, publicFile, sealed: passphrase !== undefined }),
      () => [`${role} key ${key.keyId}: ${file}`],
    );
    const layer = layerOfRole(role);
    const take =
      layer === undefined ? `add-signer ${role} ${publicFile}` : `delegate ${layer} --key ${publicFile}`;
    this.talk(`Hand over ${publicFile}, and read the key id to whoever takes it: fleetctl trust ${take}`);
  }
}
