import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "../../oclif.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { asList, countFlag, envOf, textFlag } from "../../flags.ts";
import { renderTuning } from "../../output/tuning.ts";
import { countOf } from "../../output/text.ts";
import { readAlerts } from "../../rules/alert-file.ts";
import { streamPayloads } from "../../rules/payloads.ts";
import { chooseEngine, type EngineChoice } from "../../rules/engine-choice.ts";
import type { Tuned } from "../../rules/prove-tuning.ts";
import { readyRules } from "../../rules/ready-rules.ts";
import { filesFlag, loadFlags, runFlags } from "../../rules/rule-flags.ts";
import { findTestFiles } from "../../rules/test-files.ts";
import { tuneRules } from "../../rules/tune-rules.ts";

export default class RulesTune extends FleetCommand {
  static override summary = "Propose exceptions for alerts that repeat, and prove what they remove.";
  static override description =
    "Finds who and what repeats in the alerts of each rule and writes exceptions as an override file to standard output. With --events it replays them before and after; with --tests it withdraws every exception through which a must-fire example is lost.";
  static override examples = [
    {
      description: "What could be excused, judged by the alerts alone.",
      command: "<%= config.bin %> <%= command.id %> --alerts alerts.jsonl > overrides.yaml",
    },
    {
      description: "With proof, by replay and by the rules' own tests.",
      command:
        "<%= config.bin %> <%= command.id %> --alerts alerts.jsonl --rules rules/starter --events audit.log --tests rules/starter/tests > overrides.yaml",
    },
  ];
  static override flags = {
    alerts: Flags.string({
      summary: "File of alerts as Falco's JSON lines, or - for standard input.",
      helpValue: "FILE",
      env: envOf("alerts"),
      required: true,
    }),
    rules: filesFlag("rules", "Rules files that raised the alerts, in the order in which they load."),
    events: textFlag("events", "File of events to replay before and after; needs --rules.", "FILE"),
    tests: filesFlag("tests", "Test files with must-fire examples, or folders of them; needs --rules."),
    "min-alerts": countFlag(
      "min-alerts",
      "Propose only what this many alerts share, 5 if not given.",
      2,
      1_000_000,
    ),
    "max-proposals": countFlag(
      "max-proposals",
      "At most this many proposals a rule, 5 if not given.",
      1,
      100,
    ),
    ...loadFlags,
    ...runFlags,
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(RulesTune);
    const { rules, events } = flags;
    if (rules === undefined && (events !== undefined || flags.tests !== undefined)) {
      throw misused(
        "--events and --tests prove nothing without the rules",
        "Give the rules with --rules too.",
      );
    }
    if (flags.alerts === "-" && events === "-") {
      throw misused("Standard input can be the alerts or the events, not both", "Put one of them in a file.");
    }
    const { alerts, unreadable } = await readAlerts(streamPayloads(flags.alerts, this.screen));
    if (unreadable > 0) {
      this.talk(`${countOf(unreadable, "line")} of ${flags.alerts} left out: no alert with output_fields`);
    }
    if (alerts.length === 0) {
      throw misused(
        `${flags.alerts} holds no alert with a rule and output_fields`,
        "fleetctl rules run --rules rules --events audit.log > alerts.jsonl",
      );
    }
    const tuning = await tuneRules({
      alerts,
      noise: { alertsMin: flags["min-alerts"] ?? 5, proposalsMax: flags["max-proposals"] ?? 5 },
      tuned: await this.tuned(flags.rules, await chooseEngine(flags, (line) => this.talk(line))),
      events: events === undefined ? undefined : streamPayloads(events, this.screen),
      tests: findTestFiles(asList(flags.tests), (line) => this.talk(line)),
    });
    if (flags.output === "table" || flags.output === "wide") {
      this.screen.out(tuning.override);
      this.talk(...renderTuning(tuning));
    } else {
      const answer = JSON.parse(JSON.stringify(tuning)) as JsonValue;
      this.answerWith(
        flags.output,
        () => answer,
        () => [],
      );
    }
  }

  private async tuned(
    rules: readonly string[] | undefined,
    engine: EngineChoice,
  ): Promise<Tuned | undefined> {
    if (rules === undefined) return undefined;
    const { files, ruleset } = await readyRules(rules, engine.load);
    return { files, ruleset, engine };
  }
}
