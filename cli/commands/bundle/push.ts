import { Args } from "../../oclif.ts";
import {
  type Bundle,
  BundleService,
  PushBundlesResponseSchema,
  PushLayerResponseSchema,
} from "#proto/fleet/v1/bundle";
import { type BuiltBundle, type BuiltLayer, layerListBytesMax, metadataBytesMax } from "#trust";
import { buildChecked, buildFlags, buildLayer } from "../../build-flags.ts";
import { misused, refused } from "../../failure.ts";
import { switchFlag, textFlag } from "../../flags.ts";
import type { Format } from "../../fleet-command.ts";
import { isFolder, layerOfFiles, readBuilt, readFileBounded } from "../../load-bundle.ts";
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
      description: "A team releases its layer, with the key in its own trust folder.",
      command:
        "<%= config.bin %> <%= command.id %> ./payments --kind layer --version 1.0.0 --sign --dir payments",
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
      description:
        "Files that bundle build wrote, or a folder; none when the metadata only withdraws or renews.",
    }),
  };
  static override flags = {
    ...buildFlags,
    ...keyFlags,
    sign: switchFlag("sign", "Sign the targets metadata with the keys in the trust folder."),
    targets: textFlag(
      "targets",
      "Signed targets metadata, or list of a layer, as bundle sign wrote it.",
      "FILE",
    ),
    layer: textFlag(
      "layer",
      "The layer that the list of --targets is of, when it comes without releases.",
      "NAME",
    ),
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
    const { bundles, layers } = await this.read(argv as string[], flags);
    const layer = layerOfFiles(bundles, layers, flags.layer);
    if (layer !== undefined) return this.pushLayer(layer, layers, flags);
    const targets =
      flags.targets === undefined
        ? await this.signNow(bundles, flags)
        : await readFileBounded(flags.targets, metadataBytesMax);
    const service = await this.client(BundleService, flags);
    const response = await service.pushBundles({ bundles: bundles.map(({ bytes }) => bytes), targets });
    if (bundles.length === 0) this.talk("Published: the targets metadata, without new bundles.");
    this.answer(flags.output, PushBundlesResponseSchema, response, (wide) => pushedTable(response, wide));
    for (const { ref } of response.bundles) {
      this.talk(
        `To roll it out: fleetctl rollout ${kindOf(ref?.kind ?? 0)} --bundle ${nameOf(ref)} --region eu --dry-run`,
      );
    }
  }

  /** Files that were built, and folders, which are built here. */
  private async read(paths: readonly string[], flags: Parameters<typeof buildChecked>[1]) {
    const bundles: BuiltBundle[] = [];
    const layers: BuiltLayer[] = [];
    for (const path of paths) {
      if (!(await isFolder(path))) {
        const built = await readBuilt([path]);
        bundles.push(...built.bundles);
        layers.push(...built.layers);
      } else if (flags.kind === "layer") layers.push(buildLayer(path, flags));
      else {
        const built = await buildChecked(path, flags);
        this.talk(...built.remarks);
        bundles.push(built);
      }
    }
    return { bundles, layers };
  }

  private async pushLayer(
    layer: string,
    releases: readonly BuiltLayer[],
    flags: SigningFlags & { readonly targets?: string | undefined; readonly output: Format },
  ): Promise<void> {
    const list =
      flags.targets === undefined
        ? await this.signListNow(layer, releases, flags)
        : await readFileBounded(flags.targets, layerListBytesMax);
    const service = await this.client(BundleService, flags);
    const response = await service.pushLayer({ layer, releases: releases.map(({ bytes }) => bytes), list });
    if (releases.length === 0) this.talk(`Published: the list of the layer ${layer}, without new releases.`);
    this.answer(flags.output, PushLayerResponseSchema, response, (wide) => pushedTable(response, wide));
    for (const { ref } of response.bundles) {
      this.talk(`To roll it out: fleetctl rollout rules --layer ${nameOf(ref)} --dry-run`);
    }
  }

  private async signListNow(
    layer: string,
    releases: readonly BuiltLayer[],
    flags: SigningFlags,
  ): Promise<Uint8Array> {
    if (releases.length === 0) {
      throw misused("There is nothing to sign for", "fleetctl bundle push FOLDER --kind layer --sign");
    }
    const { list, missing } = await this.signList(layer, { releases, remove: [] }, flags);
    if (missing === undefined) return list;
    throw refused(
      `Your keys alone cannot release it: ${missing}`,
      "fleetctl bundle sign FILE   then let the others add their signatures, then push with --targets",
    );
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

function pushedTable({ bundles }: { readonly bundles: readonly Bundle[] }, wide: boolean): readonly string[] {
  if (bundles.length === 0) return [];
  const columns = [
    { title: "KIND", cell: (bundle: Bundle) => kindOf(bundle.ref?.kind ?? 0) },
    { title: "BUNDLE", cell: (bundle: Bundle) => nameOf(bundle.ref) },
    { title: "DIGEST", cell: (bundle: Bundle) => bundle.ref?.digest ?? "" },
  ];
  return renderTable(bundles, columns, { wide });
}
