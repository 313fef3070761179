import { writeFile } from "node:fs/promises";
import { Args, Flags } from "../../oclif.ts";
import { metadataBytesMax } from "#trust";
import { misused } from "../../failure.ts";
import { envOf, listFlag, textFlag, valuesOf } from "../../flags.ts";
import { layerOfFiles, readBuilt, readFileBounded } from "../../load-bundle.ts";
import type { Format } from "../../fleet-command.ts";
import type { SignedList } from "../../trust/sign-layer-list.ts";
import { keyFlags } from "../../signing.ts";
import { SigningCommand } from "../../signing-command.ts";

export default class BundleSign extends SigningCommand {
  static override summary =
    "Sign the next targets metadata, which releases bundles or withdraws them, or the list of a layer.";
  static override description =
    "Takes what the server publishes now, adds the bundles, signs it with the keys in the trust folder and writes it to a file; nothing is published. When more people have to sign, each adds a signature with --add-to.";
  static override examples = [
    {
      description: "Sign for a bundle that was built.",
      command: "<%= config.bin %> <%= command.id %> starter-1.2.0.json",
    },
    {
      description: "The team payments signs the list of its layer for a release.",
      command: "<%= config.bin %> <%= command.id %> payments-1.0.0.json --dir payments",
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
    layer: textFlag(
      "layer",
      "Sign the list of this layer with the key of its team; said by the files of its releases themselves.",
      "NAME",
    ),
    "add-to": textFlag(
      "add-to",
      "Add signatures to this targets metadata, or list of --layer, instead of making new one.",
      "FILE",
    ),
    out: textFlag(
      "out",
      "File to write; targets.json, layer-NAME.json, or the file of --add-to, if not given.",
      "FILE",
    ),
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
    const { bundles, layers } = await readBuilt(paths);
    const layer = layerOfFiles(bundles, layers, flags.layer);
    const read = begun === undefined ? undefined : { begun: await readFileBounded(begun, metadataBytesMax) };
    if (layer !== undefined) {
      const signed = await this.signList(layer, read ?? { releases: layers, remove }, flags);
      return this.tellList(signed, flags.out ?? begun ?? `layer-${layer}.json`, flags.output, [
        layer,
        ...paths,
      ]);
    }
    const signed = await this.sign(read ?? { bundles, remove }, flags);
    await this.tell(signed, flags.out ?? begun ?? "targets.json", flags.output, paths);
  }

  private async tellList(
    { list, view, missing }: SignedList,
    file: string,
    format: Format,
    [layer = "", ...paths]: readonly string[],
  ): Promise<void> {
    await writeFile(file, list).catch((error: NodeJS.ErrnoException) => {
      throw misused(`${file} cannot be written (${error.code})`, "Choose another place with --out.");
    });
    const listed = [...view.listed.keys()];
    const complete = missing === undefined;
    this.answerWith(
      format,
      () => ({ file, layer, version: view.version, listed, complete }),
      () => [`${file}: layer-${layer} ${view.version} lists ${listed.join(", ") || "nothing"}`],
    );
    const which = paths.length === 0 ? ` --layer ${layer}` : "";
    this.talk(
      ...(complete
        ? [`To publish it: ${["fleetctl bundle push", ...paths, `--targets ${file}`].join(" ")}${which}`]
        : [
            `More people have to sign: ${missing}`,
            `Each runs, with a trust folder of their own: fleetctl bundle sign --layer ${layer} --add-to ${file} --dir FOLDER`,
          ]),
    );
  }
}
