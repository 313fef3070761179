import { Flags } from "../../oclif.ts";
import { type Bundle, BundleService, ListBundlesResponseSchema } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf } from "../../flags.ts";
import { renderBytes } from "../../output/quantity.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { ageOf, kindOf, shortDigest } from "../../views.ts";

export default class BundleList extends FleetCommand {
  static override summary = "List the bundles that the signed targets metadata lists, newest first.";
  static override description =
    "ASSIGNED counts the clusters that should run a bundle, RUNNING those that prove it.";
  static override examples = [
    { description: "What can be rolled out.", command: "<%= config.bin %> <%= command.id %> --kind rules" },
    { description: "With full digests.", command: "<%= config.bin %> <%= command.id %> -o wide" },
  ];
  static override flags = {
    kind: Flags.option({
      summary: "Only bundles of this kind.",
      options: ["rules", "shipper", "layer"] as const,
      env: envOf("kind"),
    })(),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(BundleList);
    const kinds = { rules: BundleKind.RULES, shipper: BundleKind.SHIPPER, layer: BundleKind.LAYER };
    const kind = flags.kind === undefined ? BundleKind.UNSPECIFIED : kinds[flags.kind];
    const service = await this.client(BundleService, flags);
    const response = await service.listBundles({ kind });
    this.answer(flags.output, ListBundlesResponseSchema, response, (wide) =>
      response.bundles.length === 0
        ? []
        : renderTable(response.bundles, columns(this.screen.now()), { wide }),
    );
    if (response.bundles.length === 0) {
      this.talk("There is none. To publish one: fleetctl bundle push DIRECTORY --sign");
    }
  }
}

const columns = (now: number): readonly Column<Bundle>[] => [
  { title: "KIND", cell: (bundle) => kindOf(bundle.ref?.kind ?? BundleKind.UNSPECIFIED) },
  { title: "NAME", cell: (bundle) => bundle.ref?.name ?? "" },
  { title: "VERSION", cell: (bundle) => bundle.ref?.version ?? "" },
  { title: "DIGEST", cell: (bundle) => shortDigest(bundle.ref?.digest ?? "") },
  { title: "HOLDS", cell: (bundle) => countsOf(bundle) },
  { title: "ASSIGNED", align: "right", cell: (bundle) => `${bundle.assignedCount}` },
  { title: "RUNNING", align: "right", cell: (bundle) => `${bundle.runningCount}` },
  { title: "AGE", align: "right", cell: (bundle) => ageOf(bundle.pushedAt, now) },
  { title: "SIZE", wide: true, align: "right", cell: (bundle) => renderBytes(Number(bundle.length)) },
  { title: "BY", wide: true, cell: (bundle) => bundle.pushedBy },
  { title: "FULL DIGEST", wide: true, cell: (bundle) => bundle.ref?.digest ?? "" },
];

function countsOf(bundle: Bundle): string {
  const counts = Object.entries(bundle.counts).sort(([a], [b]) => (a < b ? 1 : -1));
  return counts.map(([what, count]) => `${count} ${what}`).join(", ");
}
