import { Args } from "../../oclif.ts";
import { type ExplainedSection, explainShipperConfig } from "#shipper";
import { exitCodes, Failure } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { asList, labelsFrom, listFlag } from "../../flags.ts";
import { originOf, renderShipperConfig, renderShipperProblems } from "../../output/shipper-config.ts";
import { countOf } from "../../output/text.ts";
import { readShipperFiles, variablesFrom, variablesOf } from "../../shipper-files.ts";

export default class ShipperRender extends FleetCommand {
  static override summary = "Show a shipper config as it is in force, and where each value comes from.";
  static override description =
    "Reads includes, applies overrides and layers, and fills in variables and defaults, as agents do. Behind each value stands its file and line, or that it is a default and what Fluent Bit's own is where that differs. Secrets are not shown. Needs no server.";
  static override examples = [
    {
      description: "A config whose files include one another.",
      command: "<%= config.bin %> <%= command.id %> fluent-bit.conf inputs.conf outputs.conf",
    },
    {
      description: "The folder that a bundle is built from, as clusters of team payments read it.",
      command: "<%= config.bin %> <%= command.id %> ./shipper --label team=payments",
    },
    {
      description: "Defaults that are not Fluent Bit's, for a script.",
      command:
        "<%= config.bin %> <%= command.id %> audit.conf -o json | jq '.sections[].settings[] | select(.fluent_bit != null)'",
    },
  ];
  static override strict = false;
  static override args = {
    files: Args.string({
      required: true,
      ignoreStdin: true,
      description: "Config files in the order in which they apply, or one folder or bundle file.",
    }),
  };
  static override flags = {
    label: listFlag("label", "Labels of the cluster: they choose layers and fill in variables.", "KEY=VALUE"),
    set: listFlag("set", "Values of variables.", "NAME=VALUE"),
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(ShipperRender);
    const labels = labelsFrom(flags.label, "--label");
    const files = await readShipperFiles(argv as string[], labels);
    const given = { ...variablesOf(labels), ...variablesFrom(asList(flags.set)) };
    const explained = explainShipperConfig(files, given);
    if (!explained.ok) {
      this.talk(...renderShipperProblems(explained.problems, "", files));
      const count = countOf(explained.problems.length, "problem");
      throw new Failure(exitCodes.refused, `${count} in the shipper config`);
    }
    this.talk(...renderShipperProblems(explained.warnings, "warning: ", files));
    // YAML is what a person reads, too.
    const format = flags.output === "json" ? "json" : "table";
    this.answerWith(
      format,
      () => ({ sections: explained.sections.map(asJson) }),
      () => renderShipperConfig(explained.sections),
    );
  }
}

function asJson({ kind, name, alias, settings }: ExplainedSection) {
  return {
    kind,
    name,
    alias,
    settings: settings.map((setting) => ({
      key: setting.key,
      value: setting.value,
      origin: setting.at === undefined ? "default" : originOf(setting),
      fluent_bit: setting.fluentBit ?? null,
      note: setting.note ?? null,
      order: setting.order ?? null,
    })),
  };
}
