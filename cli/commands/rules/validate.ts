import type { JsonValue } from "@bufbuild/protobuf";
import { Args } from "../../oclif.ts";
import { falcoResults } from "#engine";
import { exitCodes, Failure } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { switchFlag } from "../../flags.ts";
import { countOf } from "../../output/text.ts";
import { checkRules } from "../../rules/check-rules.ts";
import { chooseEngine } from "../../rules/engine-choice.ts";
import { loadFlags } from "../../rules/rule-flags.ts";
import { sortKeys } from "../../rules/sort-keys.ts";
import { tellFindings } from "../../rules/tell-findings.ts";

export default class RulesValidate extends FleetCommand {
  static override summary = "Check rules files with the engine that agents use.";
  static override description =
    "Files load one after another, as Falco loads them: a later file may override an earlier one. With -o json the answer is what falco -V prints. Ends with exit code 1 when a file does not load.";
  static override examples = [
    {
      description: "The starter rules.",
      command: "<%= config.bin %> <%= command.id %> rules/starter/*.yaml",
    },
    {
      description: "Our rules with our overrides, for a script.",
      command: `<%= config.bin %> <%= command.id %> base.yaml overrides.yaml -o json | jq '.falco_load_results[].errors'`,
    },
    {
      description: "In CI, where a warning is a mistake.",
      command: "<%= config.bin %> <%= command.id %> rules --strict",
    },
  ];
  static override strict = false;
  static override args = {
    files: Args.string({
      required: true,
      ignoreStdin: true,
      description: "Rules files, or folders of them, in the order in which they load.",
    }),
  };
  static override flags = {
    strict: switchFlag("strict", "End with exit code 1 on warnings too."),
    ...loadFlags,
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(RulesValidate);
    const { load } = await chooseEngine(flags, (line) => this.talk(line));
    const { report, files } = await checkRules(argv as string[], load);
    const answer = sortKeys({ falco_load_results: falcoResults(report.results) }) as JsonValue;
    if (flags.output === "json") this.say([JSON.stringify(answer)]);
    else {
      this.answerWith(
        flags.output,
        () => answer,
        () => {
          const findings = tellFindings(report, files);
          const { rules, macroCount, listCount } = report.ruleset;
          const counts = `${countOf(rules.length, "rule")}, ${countOf(macroCount, "macro")}, ${countOf(listCount, "list")}`;
          return [...(findings === "" ? [] : [findings]), ...(report.ok ? [`ok: ${counts}`] : [])];
        },
      );
    }
    const broken = report.results.filter(({ successful }) => !successful).length;
    if (!report.ok) {
      throw new Failure(
        exitCodes.refused,
        `${countOf(broken, "file")} of ${report.results.length} did not load`,
      );
    }
    const warnings = report.results.reduce((sum, result) => sum + result.warnings.length, 0);
    if (flags.strict && warnings > 0) {
      const next = ["Repair what the warnings name, or leave --strict away."];
      throw new Failure(exitCodes.refused, `${countOf(warnings, "warning")}, and --strict allows none`, next);
    }
  }
}
