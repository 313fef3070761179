import type { JsonValue } from "@bufbuild/protobuf";
import { Args } from "@oclif/core";
import { loadRules, renderFindings } from "#engine";
import { exitCodes, Failure } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countOf } from "../../output/text.ts";
import { readSources } from "../../sources.ts";

export default class RulesValidate extends FleetCommand {
  static override summary = "Check rules files with the engine that agents use.";
  static override description =
    "Files load one after another, as Falco loads them: a later file may override an earlier one. With -o json the answer is what falco -V prints.";
  static override examples = [
    {
      description: "The starter rules.",
      command: "<%= config.bin %> <%= command.id %> rules/starter/*.yaml",
    },
    {
      description: "Our rules with our overrides, for a script.",
      command: `<%= config.bin %> <%= command.id %> base.yaml overrides.yaml -o json | jq '.falco_load_results[].errors'`,
    },
  ];
  static override strict = false;
  static override args = {
    files: Args.string({
      required: true,
      ignoreStdin: true,
      description: "Rules files, in the order in which they load.",
    }),
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(RulesValidate);
    const files = await readSources(argv as string[]);
    const report = loadRules(files);
    const broken = report.results.filter((result) => !result.successful).length;
    this.answerWith(
      flags.output,
      () => ({ falco_load_results: report.results }) as unknown as JsonValue,
      () => {
        const findings = renderFindings(report, files).trimEnd();
        const { rules, macroCount, listCount } = report.ruleset;
        const counts = `${countOf(rules.length, "rule")}, ${countOf(macroCount, "macro")}, ${countOf(listCount, "list")}`;
        return [...(findings === "" ? [] : [findings]), ...(report.ok ? [`ok: ${counts}`] : [])];
      },
    );
    if (!report.ok) {
      throw new Failure(exitCodes.refused, `${countOf(broken, "file")} of ${files.length} did not load`);
    }
  }
}
