import type { JsonValue } from "@bufbuild/protobuf";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { renderBench } from "../../output/bench.ts";
import { benchRules } from "../../rules/bench-rules.ts";
import { chooseEngine } from "../../rules/engine-choice.ts";
import { readPayloads } from "../../rules/payloads.ts";
import { readyRules } from "../../rules/ready-rules.ts";
import { eventsFlag, loadFlags, rulesFlag, runFlags, selectionFlags } from "../../rules/rule-flags.ts";

export default class RulesBench extends FleetCommand {
  static override summary = "Measure how many events a second the rules take, and what each rule costs.";
  static override description =
    "Runs in one thread over events in memory; rates are medians of five rounds. A rule's cost is the time that it adds on its own, so what rules share counts for each of them.";
  static override examples = [
    {
      description: "The starter rules over an audit log.",
      command: "<%= config.bin %> <%= command.id %> --rules rules/starter --events audit.log",
    },
    {
      description: "The three most expensive rules.",
      command: `<%= config.bin %> <%= command.id %> --rules rules --events audit.log -o json | jq '.rules[:3]'`,
    },
  ];
  static override flags = {
    rules: rulesFlag,
    events: eventsFlag("File of events, at most 64 MiB, or - for standard input."),
    ...loadFlags,
    ...runFlags,
    ...selectionFlags,
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(RulesBench);
    const { load, detector } = await chooseEngine(flags, (line) => this.talk(line));
    const { ruleset } = await readyRules(flags.rules, load);
    const payloads = await readPayloads(flags.events, this.screen);
    const result = benchRules(ruleset, payloads, { hostname: "localhost", ...detector }, () =>
      performance.now(),
    );
    if (result.events === 0) {
      throw misused(`${flags.events} holds no event that can be read`, "Give a Kubernetes audit log.");
    }
    this.answerWith(
      flags.output,
      () => result as unknown as JsonValue,
      (wide) => renderBench(result, wide),
    );
  }
}
