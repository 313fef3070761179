import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "../../oclif.ts";
import { diffRules, type TracedItem, traceRules } from "#engine";
import { BundleService } from "#proto/fleet/v1/bundle";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { TrustService } from "#proto/fleet/v1/trust";
import { composeRules, type OwnedLayer } from "#layers";
import { type Bundle, effectiveLayers, layerId, layerLevels } from "#trust";
import type { Wanted } from "../../connection.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf, labelsFrom, optionalArg, textFlag } from "../../flags.ts";
import { renderRules } from "../../output/rendered-rules.ts";
import { clean } from "../../output/text.ts";
import { loadOrRefuse } from "../../rules/ready-rules.ts";
import {
  bundleAt,
  bundleOf,
  clusterOf,
  ownedLayersOf,
  type RenderedCluster,
} from "../../rules/render-source.ts";
import { metadataOf } from "../../signing.ts";
import { labelsOf } from "../../views.ts";

export default class RulesRender extends FleetCommand {
  static override summary = "Show the rules that a cluster gets, and where each line comes from.";
  static override description =
    "Applies the layers that match the cluster, with their overrides, appends and exceptions, as agents do. Behind each line stands the file and line that it comes from, and what it took the place of. The answer loads again to the same rules. A folder or bundle file with --label needs no server.";
  static override examples = [
    {
      description: "What a cluster is assigned.",
      command: "<%= config.bin %> <%= command.id %> --cluster eu-3",
    },
    {
      description: "What it would get from another version.",
      command: "<%= config.bin %> <%= command.id %> --cluster eu-3 --bundle starter@1.3.0",
    },
    {
      description: "One rule, from the folder that a bundle is built from, for clusters of team payments.",
      command: "<%= config.bin %> <%= command.id %> ./rules --label team=payments --rule 'Exec Into Pod'",
    },
  ];
  static override args = {
    source: optionalArg("Folder or bundle file; a bundle of the server if not given."),
  };
  static override flags = {
    cluster: textFlag("cluster", "Cluster whose labels choose the layers.", "NAME"),
    bundle: textFlag(
      "bundle",
      "Bundle of the server; what the cluster is assigned if not given.",
      "NAME@VERSION",
    ),
    label: Flags.string({
      char: "l",
      summary: "Labels that choose layers; with --cluster in place of its own.",
      helpValue: "KEY=VALUE",
      env: envOf("label"),
      multiple: true,
      multipleNonGreedy: true,
    }),
    rule: textFlag("rule", "Only the rule, macro or list of this name.", "NAME"),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RulesRender);
    const given = labelsFrom(flags.label, "--label");
    const cluster =
      flags.cluster === undefined
        ? undefined
        : await clusterOf(await this.client(ClusterService, flags), flags.cluster);
    const labels = { ...cluster?.labels, ...given };
    const bundle = await this.bundle(args.source, flags, cluster);
    const { files, taken, leftOut } = composeRules(bundle, labels, await this.owned(flags, cluster));
    const { ruleset } = loadOrRefuse(files, {});
    const items = traceRules(files);
    const shown = items.filter(({ name }) => flags.rule === undefined || name === flags.rule);
    if (shown.length === 0) {
      throw misused(`${named(bundle)} has no rule, macro or list "${flags.rule ?? ""}" for these labels`);
    }
    const layers = layersOf(bundle, labels, taken);
    const format = flags.output === "json" ? "json" : "table";
    this.answerWith(
      format,
      () => ({ bundle: named(bundle), labels, layers: layers.map(layerJson), items: shown.map(itemJson) }),
      () => [...heading(bundle, labels, layers), "", ...renderRules(shown)],
    );
    for (const { layer, code, why } of leftOut) {
      this.talk(`Left out: the layer ${ownedId(layer)}: ${clean(why)} (${code})`);
    }
    const again = loadOrRefuse([{ name: "rendered.yaml", content: renderRules(items).join("\n") }], {});
    const { added, removed, changed } = diffRules(ruleset, again.ruleset);
    const differ = [...added, ...removed, ...changed].map(clean);
    if (differ.length > 0) this.talk(`Read as one file, these mean something else: ${differ.join(", ")}`);
  }

  /** The layers that teams own and the cluster is assigned. */
  private async owned(flags: Wanted, cluster: RenderedCluster | undefined): Promise<readonly OwnedLayer[]> {
    if (cluster === undefined || cluster.layers.length === 0) return [];
    const targets = await metadataOf(await this.client(TrustService, flags), "targets");
    return ownedLayersOf(await this.client(BundleService, flags), targets, cluster.layers);
  }

  private async bundle(
    source: string | undefined,
    flags: Wanted & { readonly bundle?: string | undefined },
    cluster: RenderedCluster | undefined,
  ): Promise<Bundle> {
    if (source !== undefined && flags.bundle !== undefined) {
      throw misused("A folder or file and --bundle are two sources", "Leave one of them away.");
    }
    if (source !== undefined) return bundleAt(source);
    const wanted = flags.bundle ?? cluster?.digest;
    if (wanted === undefined) {
      throw misused(
        "Say what to render",
        "--cluster NAME",
        "--bundle NAME@VERSION",
        "a folder or bundle file",
      );
    }
    if (wanted === "") {
      throw misused(`Cluster ${cluster?.name ?? ""} is assigned no rules`, "--bundle NAME@VERSION");
    }
    return bundleOf(await this.client(BundleService, flags), wanted);
  }
}

function named({ name, version }: Bundle): string {
  return `${name}@${version}`;
}

interface AppliedLayer {
  readonly id: string;
  readonly selector: Readonly<Record<string, string>>;
}

/** Embedded layers of a level come first, and those that teams own after them, as agents put them. */
function layersOf(
  bundle: Bundle,
  labels: Readonly<Record<string, string>>,
  taken: readonly OwnedLayer[],
): readonly AppliedLayer[] {
  const embedded = effectiveLayers(bundle, labels);
  return layerLevels.flatMap((level) => [
    ...embedded
      .filter((layer) => layer.level === level)
      .map((layer) => ({ id: layerId(layer), selector: layer.selector })),
    ...taken
      .filter(({ terms }) => terms.level === level)
      .map((layer) => ({ id: ownedId(layer), selector: layer.terms.selector })),
  ]);
}

function ownedId({ release }: OwnedLayer): string {
  return `${release.name}@${release.version}`;
}

function heading(bundle: Bundle, labels: Readonly<Record<string, string>>, layers: readonly AppliedLayer[]) {
  const applied = layers.map(({ id, selector }) => `${id} (${labelsOf(selector) || "every cluster"})`);
  return [
    `# rules ${named(bundle)} for ${labelsOf(labels) || "a cluster without labels"}`,
    `# layers, the later wins: ${applied.join(", ") || "none applies"}`,
  ].map(clean);
}

function layerJson({ id, selector }: AppliedLayer) {
  return { id, selector: { ...selector } };
}

/** Lines and columns from 1, and the layer of each place. */
function itemJson(item: TracedItem): JsonValue {
  return JSON.parse(JSON.stringify(item), (_key, value: unknown) => {
    if (typeof value !== "object" || value === null || !("offset" in value)) return value;
    const { name, line, column } = value as unknown as TracedItem["place"];
    const layer = /^layers\/([^/]+)\//.exec(name)?.[1] ?? null;
    return { file: name, line: line + 1, column: column + 1, layer };
  }) as JsonValue;
}
