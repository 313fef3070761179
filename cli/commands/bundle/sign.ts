import { writeFile } from "node:fs/promises";
import { Args, Flags } from "@oclif/core";
import { metadataBytesMax } from "#trust";
import { misused } from "../../failure.ts";
import { envOf, listFlag, textFlag, valuesOf } from "../../flags.ts";
import { readBuiltBundles, readFileBounded } from "../../load-bundle.ts";
import { keyFlags } from "../../signing.ts";
import { SigningCommand } from "../../signing-command.ts";

export default class BundleSign extends SigningCommand {
  static override summary = "Sign the next targets metadata, which releases bundles or withdraws them.";
  static override description =
    "Takes what the server publishes now, adds the bundles, signs it with the keys in the trust folder and writes it to a file; nothing is published. When more people have to sign, each adds a signature with --add-to.";
  static override examples = [
    {
      description: "Sign for a bundle that was built.",
      command: "<%= config.bin %> <%= command.id %> starter-1.2.0.json",
    },
    {
      description: "Add the second signature to what a colleague began.",
      command: "<%= config.bin %> <%= command.id %> --add-to targets.json",
    },
  ];
  static override strict = false;
  static override args = {
    bundles: Args.string({
      required: false,
      ignoreStdin: true,
      description: "Files that bundle build wrote.",
    }),
  };
  static override flags = {
    ...keyFlags,
    withdraw: listFlag(
      "withdraw",
      "Bundles that are no longer released: agents refuse to start them.",
      "KIND/NAME/VERSION.json",
    ),
    renew: Flags.boolean({
      summary: "Sign what is released anew, so that it does not expire.",
      env: envOf("renew"),
    }),
    "add-to": textFlag(
      "add-to",
      "Add signatures to this targets metadata instead of making new one.",
      "FILE",
    ),
    out: textFlag("out", "File to write; targets.json, or the file of --add-to, if not given.", "FILE"),
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(BundleSign);
    const paths = argv as string[];
    const remove = valuesOf(flags.withdraw);
    const begun = flags["add-to"];
    const isChange = paths.length + remove.length > 0 || flags.renew;
    if (begun === undefined && !isChange) {
      throw misused(
        "There is nothing to sign: name bundles, or --withdraw, or --renew, or --add-to",
        "fleetctl bundle sign FILE",
      );
    }
    if (begun !== undefined && isChange) {
      throw misused("--add-to only adds a signature; it cannot add, withdraw or renew anything");
    }
    const bundles = await readBuiltBundles(paths);
    const change =
      begun === undefined ? { bundles, remove } : { begun: await readFileBounded(begun, metadataBytesMax) };
    const { targets, view, missing } = await this.sign(change, flags);
    const file = flags.out ?? begun ?? "targets.json";
    await writeFile(file, targets).catch((error: NodeJS.ErrnoException) => {
      throw misused(`${file} cannot be written (${error.code})`, "Choose another place with --out.");
    });
    this.answerWith(
      flags.output,
      () => ({
        file,
        version: view.version,
        listed: [...view.listed.keys()],
        complete: missing === undefined,
      }),
      () => [`${file}: targets ${view.version} lists ${[...view.listed.keys()].join(", ") || "nothing"}`],
    );
    if (missing === undefined) {
      const push = ["fleetctl bundle push", ...paths, `--targets ${file}`].join(" ");
      this.talk(`To publish it: ${push}`);
    } else {
      this.talk(
        `More people have to sign: ${missing}`,
        `Each runs, with a trust folder of their own: fleetctl bundle sign --add-to ${file} --dir FOLDER`,
      );
    }
  }
}
