import { writeFile } from "node:fs/promises";
import { buildChecked, buildFlags, buildLayer } from "../../build-flags.ts";
import { misused } from "../../failure.ts";
import { FleetCommand, type Format } from "../../fleet-command.ts";
import { requiredArg, textFlag } from "../../flags.ts";
import { countOf } from "../../output/text.ts";

export default class BundleBuild extends FleetCommand {
  static override summary =
    "Build a bundle from a folder of rules or of a shipper config, or a release of a layer.";
  static override description =
    "Takes the folder's files, and its layers from layers/LEVEL-NAME/ with a selector.yaml each. The contents are loaded as agents load them; a bundle that would not load, or whose layers contradict each other, is not written. The same folder always gives the same digest.";
  static override examples = [
    {
      description: "The rules of a folder as version 1.2.0.",
      command: "<%= config.bin %> <%= command.id %> rules/starter --kind rules --version 1.2.0",
    },
    {
      description: "A shipper config under another name and in another place.",
      command:
        "<%= config.bin %> <%= command.id %> ./shipper --kind shipper --name elastic --version 3.0.0 --out build/elastic.json",
    },
    {
      description: "A release of the layer payments, from a folder with nothing but what it changes.",
      command: "<%= config.bin %> <%= command.id %> ./payments --kind layer --version 1.0.0",
    },
  ];
  static override args = { directory: requiredArg("Folder to build from.") };
  static override flags = {
    ...buildFlags,
    out: textFlag("out", "File to write; NAME-VERSION.json if not given.", "FILE"),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(BundleBuild);
    if (flags.kind === "layer") return this.layer(args.directory, flags);
    const { bundle, bytes, digest, target, skipped, remarks } = await buildChecked(args.directory, flags);
    const file = flags.out ?? `${bundle.name}-${bundle.version}.json`;
    await this.write({ file, bytes, digest, path: target.path, skipped }, flags.output);
    const layers = countOf(bundle.layers.length, "layer");
    this.talk(
      `${bundle.kind} ${bundle.name}@${bundle.version}: ${countOf(bundle.files.length, "file")}, ${layers}, ${bytes.length} bytes.`,
      ...remarks,
      ...leftOut(skipped),
      `To release it: fleetctl bundle push ${file} --sign`,
    );
  }

  private async layer(
    directory: string,
    flags: Parameters<typeof buildLayer>[1] & { readonly out?: string | undefined; readonly output: Format },
  ): Promise<void> {
    const { release, bytes, digest, target, skipped } = buildLayer(directory, flags);
    const file = flags.out ?? `${release.name}-${release.version}.json`;
    await this.write({ file, bytes, digest, path: target.path, skipped }, flags.output);
    this.talk(
      `layer ${release.name}@${release.version}: ${countOf(release.files.length, "file")}, ${bytes.length} bytes. What it may say stands in the delegation; the server tries it on the rules of its clusters.`,
      ...leftOut(skipped),
      `To release it: fleetctl bundle push ${file} --sign`,
    );
  }

  private async write({ file, bytes, digest, path, skipped }: Written, format: Format): Promise<void> {
    await writeFile(file, bytes).catch((error: NodeJS.ErrnoException) => {
      throw misused(`${file} cannot be written (${error.code})`, "Choose another place with --out.");
    });
    this.answerWith(
      format,
      () => ({ file, digest, length: bytes.length, path, skipped: [...skipped] }),
      () => [`${file} ${digest}`],
    );
  }
}

interface Written {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly path: string;
  readonly skipped: readonly string[];
}

function leftOut(skipped: readonly string[]): readonly string[] {
  return skipped.length === 0 ? [] : [`Left out: ${skipped.join(", ")}`];
}
