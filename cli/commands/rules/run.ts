import { hostname } from "node:os";
import { createEventStream } from "#engine";
import { FleetCommand } from "../../fleet-command.ts";
import { textFlag } from "../../flags.ts";
import { clean } from "../../output/text.ts";
import { renderRunStats } from "../../output/run-stats.ts";
import { chooseEngine } from "../../rules/engine-choice.ts";
import { streamLines } from "../../rules/payloads.ts";
import { readyRules } from "../../rules/ready-rules.ts";
import { eventsFlag, loadFlags, rulesFlag, runFlags, selectionFlags } from "../../rules/rule-flags.ts";
import { runRules, type RunStats } from "../../rules/run-rules.ts";

/** More problems than these are counted only. */
const problemsShownMax = 20;

const noEvents =
  "Nothing in it was an event. If it is JSON over several lines, give one event a line: jq -c . FILE";

export default class RulesRun extends FleetCommand {
  static override summary = "Run rules over recorded events and print the alerts.";
  static override description =
    "Events are JSON lines, as the API server writes them, or lines of the Linux audit log, of any number. Alerts are Falco's JSON lines on standard output; counts go to standard error, as JSON with -o json.";
  static override examples = [
    {
      description: "Which rules an audit log would have raised.",
      command: "<%= config.bin %> <%= command.id %> --rules rules/starter --events audit.log > alerts.jsonl",
    },
    {
      description: "One rule over what another program writes.",
      command:
        "kubectl logs audit-tap | <%= config.bin %> <%= command.id %> --rules rules --disable '*' --enable 'Secret Read' --events -",
    },
  ];
  static override flags = {
    rules: rulesFlag,
    events: eventsFlag("File with an event or a list of events on each line, or - for standard input."),
    ...loadFlags,
    ...runFlags,
    ...selectionFlags,
    hostname: textFlag("hostname", "Hostname to put into alerts instead of this machine's.", "NAME"),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(RulesRun);
    const { load, detector } = await chooseEngine(flags, (line) => this.talk(line));
    const { ruleset } = await readyRules(flags.rules, load);
    const stream = createEventStream(ruleset, { hostname: flags.hostname ?? hostname(), ...detector });
    let shown = 0;
    const stats = await runRules(
      stream,
      streamLines(flags.events, this.screen),
      {
        alerts: async (alerts) => {
          this.screen.out(alerts.map(({ body }) => `${body}\n`).join(""));
          await this.screen.drained();
        },
        problem: (problem) => {
          if (++shown <= problemsShownMax) this.talk(clean(problem));
          else if (shown === problemsShownMax + 1) this.talk("More problems are only counted.");
        },
      },
      () => performance.now(),
    );
    if (stats.events === 0 && stats.problems > 0) this.talk(noEvents);
    if (flags.output === "json") this.talk(JSON.stringify(countsOf(stats)));
    else this.talk(...renderRunStats(stats));
  }
}

function countsOf({ byPriority, byRule, ...stats }: RunStats) {
  return { ...stats, byPriority: Object.fromEntries(byPriority), byRule: Object.fromEntries(byRule) };
}
