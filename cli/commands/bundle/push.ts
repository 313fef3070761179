import { Args } from "@oclif/core";
import { type Bundle, BundleService, PushBundlesResponseSchema } from "#proto/fleet/v1/bundle";
import { type BuiltBundle, metadataBytesMax } from "#trust";
import { buildChecked, buildFlags } from "../../build-flags.ts";
import { misused, refused } from "../../failure.ts";
import { switchFlag, textFlag } from "../../flags.ts";
import { isFolder, readBuiltBundles, readFileBounded } from "../../load-bundle.ts";
import { renderTable } from "../../output/table.ts";
import { keyFlags } from "../../signing.ts";
import { SigningCommand, type SigningFlags } from "../../signing-command.ts";
import { kindOf, nameOf } from "../../views.ts";

export default class BundlePush extends SigningCommand {
  static override summary = "Publish bundles together with the signed targets metadata that lists them.";
  static override description =
    "All or nothing. The server checks the signatures, the hashes and that the contents load; it cannot sign. A folder is built first. Nothing changes on any cluster until a rollout.";
  static override examples = [
    {
      description: "Build a folder, sign for it with your keys and publish it, in one go.",
      command: "<%= config.bin %> <%= command.id %> rules/starter --kind rules --version 1.2.0 --sign",
    },
    {
      description: "Publish what was built and signed elsewhere.",
      command: "<%= config.bin %> <%= command.id %> starter-1.2.0.json --targets targets.json",
    },
  ];
  static override strict = false;
  static override args = {
    bundles: Args.string({
      required: false,
      ignoreStdin: true,
      description: "Files that bundle build wrote, or a folder; none when targets metadata only withdraws.",
    }),
  };
  static override flags = {
    ...buildFlags,
    ...keyFlags,
    sign: switchFlag("sign", "Sign the targets metadata with the keys in the trust folder."),
    targets: textFlag("targets", "Signed targets metadata, as bundle sign wrote it.", "FILE"),
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(BundlePush);
    if (flags.sign === (flags.targets !== undefined)) {
      throw misused(
        "Say who signs: nothing unsigned is taken",
        "--sign   signs with the keys in your trust folder",
        "--targets FILE   takes what fleetctl bundle sign wrote",
      );
    }
    const bundles: BuiltBundle[] = [];
    for (const path of argv as string[]) {
      if (await isFolder(path)) {
        const built = await buildChecked(path, flags);
        this.talk(...built.remarks);
        bundles.push(built);
      } else bundles.push(...(await readBuiltBundles([path])));
    }
    const targets =
      flags.targets === undefined
        ? await this.signNow(bundles, flags)
        : await readFileBounded(flags.targets, metadataBytesMax);
    const service = await this.client(BundleService, flags);
    const response = await service.pushBundles({ bundles: bundles.map(({ bytes }) => bytes), targets });
    if (bundles.length === 0) this.talk("Published: the targets metadata, without new bundles.");
    this.answer(flags.output, PushBundlesResponseSchema, response, (wide) =>
      bundles.length === 0
        ? []
        : renderTable(
            response.bundles,
            [
              { title: "KIND", cell: (bundle: Bundle) => kindOf(bundle.ref?.kind ?? 0) },
              { title: "BUNDLE", cell: (bundle: Bundle) => nameOf(bundle.ref) },
              { title: "DIGEST", cell: (bundle: Bundle) => bundle.ref?.digest ?? "" },
            ],
            { wide },
          ),
    );
    for (const { ref } of response.bundles) {
      this.talk(
        `To roll it out: fleetctl rollout ${kindOf(ref?.kind ?? 0)} --bundle ${nameOf(ref)} --region eu --dry-run`,
      );
    }
  }

  private async signNow(bundles: readonly BuiltBundle[], flags: SigningFlags): Promise<Uint8Array> {
    if (bundles.length === 0) {
      throw misused("There is nothing to sign for", "fleetctl bundle push FOLDER --sign");
    }
    const { targets, missing } = await this.sign({ bundles, remove: [] }, flags);
    if (missing === undefined) return targets;
    throw refused(
      `Your keys alone cannot release it: ${missing}`,
      "fleetctl bundle sign FILE   then let the others add their signatures, then push with --targets",
    );
  }
}
