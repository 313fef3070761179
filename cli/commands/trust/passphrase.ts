import { Args, Flags } from "../../oclif.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf, textFlag } from "../../flags.ts";
import { keyFlags, newPassphraseFrom, passphraseFrom, trustDirectory } from "../../signing.ts";
import { checkPassphrase } from "../../trust/init-trust.ts";
import { sealAnew } from "../../trust/seal-anew.ts";
import { allKeyFiles, readKeySource } from "../../trust/signers.ts";

export default class TrustPassphrase extends FleetCommand {
  static override summary = "Seal key files with another passphrase.";
  static override description =
    "Only the files change, not the keys: the fleet learns nothing of it, and copies elsewhere keep their passphrase. Whoever has had the old file and its passphrase still has the key.";
  static override examples = [
    {
      description: "Every key file of the trust folder; both passphrases are asked for.",
      command: "<%= config.bin %> <%= command.id %>",
    },
    {
      description: "One file, with passphrases from files.",
      command:
        "<%= config.bin %> <%= command.id %> ada/root.key.json --passphrase-file old.txt --new-passphrase-file new.txt",
    },
  ];
  static override strict = false;
  static override args = {
    files: Args.string({
      required: false,
      ignoreStdin: true,
      description: "Key files; all of the trust folder if not given.",
    }),
  };
  static override flags = {
    ...keyFlags,
    "new-passphrase-file": textFlag(
      "new-passphrase-file",
      "File that holds the new passphrase; else FLEETCTL_NEW_PASSPHRASE, else it is asked for.",
      "FILE",
    ),
    "insecure-plain-keys": Flags.boolean({
      summary: "Write the keys without a passphrase: whoever reads them can sign. For trying things.",
      env: envOf("insecure-plain-keys"),
      exclusive: ["new-passphrase-file"],
    }),
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(TrustPassphrase);
    const dir = trustDirectory(flags.dir);
    const named = argv as string[];
    const all = named.length > 0 ? named : allKeyFiles(dir);
    const sources = all.map(readKeySource).filter((source) => source.isKey);
    const files = sources.map(({ file }) => file);
    if (files.length === 0) {
      throw misused(`There is no key file to seal in ${dir}`, "--dir DIR   names the folder that holds keys");
    }
    const passphrase = sources.some(({ isSealed }) => isSealed)
      ? await passphraseFrom(flags["passphrase-file"], this.screen, false)
      : undefined;
    const next = flags["insecure-plain-keys"]
      ? undefined
      : await newPassphraseFrom(flags["new-passphrase-file"], this.screen);
    checkPassphrase(next);
    const sealed = await sealAnew(files, passphrase, next);
    this.answerWith(
      flags.output,
      () => ({ keys: sealed.map((each) => ({ ...each })), sealed: next !== undefined }),
      () =>
        sealed.map(({ file, keyId }) => `${file}: key ${keyId}${next === undefined ? ", not sealed" : ""}`),
    );
  }
}
