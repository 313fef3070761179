import { writeFile } from "node:fs/promises";
import { buildChecked, buildFlags } from "../../build-flags.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg, textFlag } from "../../flags.ts";
import { countOf } from "../../output/text.ts";

export default class BundleBuild extends FleetCommand {
  static override summary = "Build a bundle from a folder of rules or of a shipper config.";
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
  ];
  static override args = { directory: requiredArg("Folder to build from.") };
  static override flags = {
    ...buildFlags,
    out: textFlag("out", "File to write; NAME-VERSION.json if not given.", "FILE"),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(BundleBuild);
    const { bundle, bytes, digest, target, skipped, remarks } = await buildChecked(args.directory, flags);
    const file = flags.out ?? `${bundle.name}-${bundle.version}.json`;
    await writeFile(file, bytes).catch((error: NodeJS.ErrnoException) => {
      throw misused(`${file} cannot be written (${error.code})`, "Choose another place with --out.");
    });
    this.answerWith(
      flags.output,
      () => ({ file, digest, length: bytes.length, path: target.path, skipped: [...skipped] }),
      () => [`${file} ${digest}`],
    );
    const layers = countOf(bundle.layers.length, "layer");
    this.talk(
      `${bundle.kind} ${bundle.name}@${bundle.version}: ${countOf(bundle.files.length, "file")}, ${layers}, ${bytes.length} bytes.`,
      ...remarks,
      ...(skipped.length === 0 ? [] : [`Left out: ${skipped.join(", ")}`]),
      `To release it: fleetctl bundle push ${file} --sign`,
    );
  }
}
