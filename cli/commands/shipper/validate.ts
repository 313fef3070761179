import { Args } from "../../oclif.ts";
import { explainShipperConfig } from "#shipper";
import { exitCodes, Failure } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { asList, listFlag } from "../../flags.ts";
import { originOf, renderShipperProblems } from "../../output/shipper-config.ts";
import { countOf } from "../../output/text.ts";
import { variablesFrom } from "../../shipper-files.ts";
import { readSources } from "../../sources.ts";

export default class ShipperValidate extends FleetCommand {
  static override summary = "Check a shipper config with the parser that agents use.";
  static override description =
    "Reads Fluent Bit's YAML and classic formats. Every problem is printed with its file, line and column, and with the line itself. Variables that only agents know are given values that fit; --set gives one a value of its own.";
  static override examples = [
    {
      description: "A config before it is built into a bundle.",
      command: "<%= config.bin %> <%= command.id %> shipper/fluent-bit.yaml",
    },
    {
      description: "With a variable that the agent's environment will set.",
      command:
        "<%= config.bin %> <%= command.id %> audit.conf outputs.conf --set AUDIT_LOG=/var/log/audit.log",
    },
  ];
  static override strict = false;
  static override args = {
    files: Args.string({
      required: true,
      ignoreStdin: true,
      description: "Config files, in the order in which they apply.",
    }),
  };
  static override flags = { set: listFlag("set", "Values of variables.", "NAME=VALUE") };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(ShipperValidate);
    const files = await readSources(argv as string[]);
    const checked = explainShipperConfig(files, variablesFrom(asList(flags.set)));
    const problems = checked.ok ? [] : checked.problems;
    const warnings = checked.ok ? checked.warnings : [];
    const sections = checked.ok ? checked.sections : [];
    const idle = sections.flatMap(({ settings }) =>
      settings.filter(({ note }) => note?.startsWith("changes nothing")),
    );
    this.answerWith(
      flags.output,
      () => ({
        ok: checked.ok,
        problems: problems.map((problem) => ({ ...problem })),
        warnings: warnings.map((warning) => ({ ...warning })),
        plugins: sections.flatMap(({ kind, name, alias }) =>
          kind === "service" ? [] : [{ kind, name, alias }],
        ),
        ignored: idle.map((one) => ({ option: one.key, origin: originOf(one), why: one.note ?? "" })),
      }),
      () => {
        if (!checked.ok) return renderShipperProblems(problems, "", files);
        const count = (kind: string) => countOf(sections.filter((one) => one.kind === kind).length, kind);
        return [
          ...renderShipperProblems(warnings, "warning: ", files),
          `ok: ${count("input")}, ${count("filter")}, ${count("output")}`,
          ...(idle.length === 0
            ? []
            : [`note: ${idle.map(({ key }) => key).join(", ")} may be written, and nothing changes here`]),
        ];
      },
    );
    if (!checked.ok) {
      throw new Failure(exitCodes.refused, `${countOf(problems.length, "problem")} in the shipper config`);
    }
  }
}
