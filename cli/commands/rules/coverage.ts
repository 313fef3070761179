import type { JsonValue } from "@bufbuild/protobuf";
import { Args } from "../../oclif.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { textFlag } from "../../flags.ts";
import { renderCoverage } from "../../output/rule-coverage.ts";
import { servedRequests } from "#engine";
import { countRequests } from "../../rules/count-requests.ts";
import { chooseEngine } from "../../rules/engine-choice.ts";
import { streamPayloads } from "../../rules/payloads.ts";
import { coverRules } from "../../rules/rule-coverage.ts";
import { readyRules } from "../../rules/ready-rules.ts";
import { loadFlags, selectionFlags } from "../../rules/rule-flags.ts";

export default class RulesCoverage extends FleetCommand {
  static override summary = "Show what rules look at and what no rule looks at.";
  static override description =
    "Counts MITRE tags, and finds for each verb and resource of the Kubernetes API the enabled rules that can fire for such a request. A rule that would fire for any resource counts as general.";
  static override examples = [
    {
      description: "The tags and requests that the starter rules cover.",
      command: "<%= config.bin %> <%= command.id %> rules/starter",
    },
    {
      description: "Resources that no rule asks for, those with the most events first.",
      command: `<%= config.bin %> <%= command.id %> rules --events audit.log -o json | jq -r '.resources | map(select(.rules == [])) | sort_by(-.eventsMissed)[].resource'`,
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
    events: textFlag(
      "events",
      "Count the requests in this file of events too, or in - standard input.",
      "FILE",
    ),
    ...loadFlags,
    ...selectionFlags,
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(RulesCoverage);
    const { load } = await chooseEngine(flags, (line) => this.talk(line));
    const { ruleset } = await readyRules(argv as string[], load);
    const counts =
      flags.events === undefined ? undefined : await countRequests(streamPayloads(flags.events, this.screen));
    const coverage = coverRules(ruleset, servedRequests(), counts);
    this.answerWith(
      flags.output,
      () => JSON.parse(JSON.stringify(coverage)) as JsonValue,
      (wide) => renderCoverage(coverage, wide),
    );
  }
}
