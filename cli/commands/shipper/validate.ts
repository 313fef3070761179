import { Args } from "@oclif/core";
import { parseWithStandIns, renderProblems } from "#shipper";
import { exitCodes, Failure, misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { asList, listFlag } from "../../flags.ts";
import { countOf } from "../../output/text.ts";
import { readSources } from "../../sources.ts";

export default class ShipperValidate extends FleetCommand {
  static override summary = "Check a shipper config with the parser that agents use.";
  static override description =
    "Reads Fluent Bit's YAML and classic formats. Every problem is printed with its file, line and column. Variables that only agents know are given values that fit; --set gives one a value of its own.";
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
    const parsed = parseWithStandIns(files, variablesFrom(asList(flags.set)));
    const problems = parsed.ok ? [] : parsed.problems;
    const warnings = parsed.ok ? parsed.warnings : [];
    this.answerWith(
      flags.output,
      () => ({
        ok: parsed.ok,
        problems: problems.map((problem) => ({ ...problem })),
        warnings: warnings.map((warning) => ({ ...warning })),
      }),
      () => {
        if (!parsed.ok) return [renderProblems(problems)];
        const { inputs, filters, outputs } = parsed.config;
        const counts = `${countOf(inputs.length, "input")}, ${countOf(filters.length, "filter")}, ${countOf(outputs.length, "output")}`;
        return [...(warnings.length === 0 ? [] : [renderProblems(warnings)]), `ok: ${counts}`];
      },
    );
    if (!parsed.ok) {
      throw new Failure(exitCodes.refused, `${countOf(problems.length, "problem")} in the shipper config`);
    }
  }
}

function variablesFrom(values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((value) => {
      const [, name, content] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(value) ?? [];
      if (name === undefined || content === undefined) throw misused(`--set "${value}" is not NAME=VALUE`);
      return [name, content];
    }),
  );
}
