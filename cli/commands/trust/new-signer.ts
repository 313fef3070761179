import { Flags } from "@oclif/core";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf, textFlag } from "../../flags.ts";
import { roleArg, roleFrom } from "../../root-command.ts";
import { keyFlags, passphraseFrom, trustDirectory } from "../../signing.ts";
import { newSigner } from "../../trust/new-signer.ts";

export default class TrustNewSigner extends FleetCommand {
  static override summary = "Make an offline key of your own, in your trust folder.";
  static override description =
    "Writes the key, and its public half beside it, which somebody takes into the next root with add-signer. Needs no server. The key may sign nothing before that root is published.";
  static override examples = [
    {
      description: "Grace makes a root key and hands over root-grace.pub.pem.",
      command: "<%= config.bin %> <%= command.id %> root --name grace --dir grace",
    },
    {
      description: "A targets key for CI, sealed with a passphrase from a file.",
      command: "<%= config.bin %> <%= command.id %> targets --name ci --dir ci --passphrase-file pass.txt",
    },
  ];
  static override args = { role: roleArg };
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
    const role = roleFrom(args.role);
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
    this.talk(
      `Hand over ${publicFile}, and read the key id to whoever takes it: fleetctl trust add-signer ${role} ${publicFile}`,
    );
  }
}
