import { toJson } from "@bufbuild/protobuf";
import { BundleSchema, BundleService } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import type { Bundle, LayerRelease } from "#trust";
import { present } from "../../answer.ts";
import { refused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg, textFlag } from "../../flags.ts";
import { bundleFrom, layerFrom } from "../../load-bundle.ts";
import { type Column, renderFields, renderTable } from "../../output/table.ts";
import { countOf } from "../../output/text.ts";
import { ageOf, kindOf, labelsOf, nameOf } from "../../views.ts";

export default class BundleShow extends FleetCommand {
  static override summary = "Show a bundle with its files and layers.";
  static override description = "A layer's files apply only where its selector matches the cluster's labels.";
  static override examples = [
    {
      description: "The newest version of a bundle.",
      command: "<%= config.bin %> <%= command.id %> starter",
    },
    {
      description: "One file of it as it is.",
      command: "<%= config.bin %> <%= command.id %> starter@1.2.0 --file base.yaml",
    },
  ];
  static override args = { bundle: requiredArg("NAME, NAME@VERSION or digest.") };
  static override flags = {
    file: textFlag("file", "Print this file of the bundle and nothing else.", "PATH"),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(BundleShow);
    const service = await this.client(BundleService, flags);
    const response = await service.getBundle({ bundle: args.bundle });
    const listed = present(response.bundle, "bundle");
    const from = `bundle ${args.bundle}`;
    const isLayer = listed.ref?.kind === BundleKind.LAYER;
    const files = isLayer
      ? layerFilesOf(layerFrom(response.content, from))
      : filesOf(bundleFrom(response.content, from));
    if (flags.file !== undefined) {
      const found = files.find((file) => file.name === flags.file);
      if (found !== undefined) return this.screen.out(found.content);
      throw refused(
        `Bundle ${nameOf(listed.ref)} has no file "${flags.file}"`,
        `fleetctl bundle show ${args.bundle}`,
      );
    }
    const by = isLayer ? `layer-${listed.ref?.name}` : "targets";
    const released = listed.listed
      ? `yes, in ${by} ${listed.targetsVersion}`
      : "no longer: agents refuse to start it";
    this.answerWith(
      flags.output,
      () => ({
        bundle: toJson(BundleSchema, listed, { alwaysEmitImplicit: true }),
        files: files.map((file) => ({ ...file })),
      }),
      () => [
        ...renderFields([
          ["bundle", `${kindOf(listed.ref?.kind ?? 0)} ${nameOf(listed.ref)}`],
          ["digest", listed.ref?.digest],
          ["pushed", `${ageOf(listed.pushedAt, this.screen.now())} ago by ${listed.pushedBy}`],
          ["released", released],
          ["runs on", `${countOf(listed.runningCount, "cluster")}, assigned to ${listed.assignedCount}`],
        ]),
        "",
        ...renderTable(files, columns, { wide: true }),
      ],
    );
  }
}

interface FileRow {
  /** `PATH`, or `layers/LEVEL-NAME/PATH`. */
  readonly name: string;
  readonly appliesTo: string;
  readonly content: string;
}

const columns: readonly Column<FileRow>[] = [
  { title: "FILE", cell: (file) => file.name },
  { title: "APPLIES TO", cell: (file) => file.appliesTo },
  { title: "LINES", align: "right", cell: (file) => `${file.content.split("\n").length}` },
];

function layerFilesOf({ files }: LayerRelease): FileRow[] {
  return files.map(({ path, content }) => ({ name: path, appliesTo: "the layer's clusters", content }));
}

function filesOf(bundle: Bundle): FileRow[] {
  return [
    ...bundle.files.map(({ path, content }) => ({ name: path, appliesTo: "every cluster", content })),
    ...bundle.layers.flatMap((layer) =>
      layer.files.map(({ path, content }) => ({
        name: `layers/${layer.level}-${layer.name}/${path}`,
        appliesTo: labelsOf(layer.selector) || "every cluster",
        content,
      })),
    ),
  ];
}
