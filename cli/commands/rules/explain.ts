import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "../../oclif.ts";
import { type ExplainOutcome, explainRule, type RuleSet } from "#engine";
import { exitCodes, Failure, misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf } from "../../flags.ts";
import { nearest } from "../../nearest.ts";
import { clean, countOf } from "../../output/text.ts";
import { decidersOf, renderExplanation, renderOutcome } from "../../output/explanation.ts";
import { chooseEngine } from "../../rules/engine-choice.ts";
import { groupRecords, readText, singleEvents } from "../../rules/payloads.ts";
import { eventsOf } from "../../rules/test-events.ts";
import { readyRules } from "../../rules/ready-rules.ts";
import { loadFlags, rulesFlag, runFlags, selectionFlags } from "../../rules/rule-flags.ts";

/** An explanation is for reading. */
const eventsMax = 1000;

export default class RulesExplain extends FleetCommand {
  static override summary = "Explain why a rule fires on an event or why it does not.";
  static override description =
    "Shows the condition with lists and macros written out, what each check read and whether it holds, which checks decided, and which other rule matched first.";
  static override examples = [
    {
      description: "Why this event raises no alert.",
      command:
        "<%= config.bin %> <%= command.id %> --rules rules/starter --rule 'Secret Read By Person' --event event.json",
    },
    {
      description: "The checks that decided, for a script.",
      command: `<%= config.bin %> <%= command.id %> --rules rules --rule 'Exec Into Pod' --event - -o json | jq -r '.events[].decided_by[].text'`,
    },
  ];
  static override flags = {
    rules: rulesFlag,
    rule: Flags.string({
      summary: "Name of the rule.",
      helpValue: "NAME",
      env: envOf("rule"),
      required: true,
    }),
    event: Flags.string({
      summary: "File with the event, or - for standard input; several events are explained one by one.",
      helpValue: "FILE",
      env: envOf("event"),
      required: true,
    }),
    ...loadFlags,
    ...runFlags,
    ...selectionFlags,
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(RulesExplain);
    const { load, detector } = await chooseEngine(flags, (line) => this.talk(line));
    const { ruleset } = await readyRules(flags.rules, load);
    const explain = explainRule(ruleset, flags.rule, { hostname: "localhost", ...detector });
    if (explain === undefined) throw unknownRule(flags.rule, ruleset);
    const events = groupRecords(singleEvents(eventsOf(await readText(flags.event, this.screen))));
    if (events.length === 0) throw misused(`${flags.event} holds no event`, "Give a file with a JSON event.");
    if (events.length > eventsMax) {
      throw misused(`${flags.event} holds ${events.length} events; at most ${eventsMax} are explained`);
    }
    const outcomes = events.map((event) => explain(event));
    this.answerWith(
      flags.output,
      () => ({ rule: flags.rule, events: outcomes.map(asJson) }),
      () => outcomes.flatMap((outcome, index) => this.linesOf(outcome, index, outcomes.length)),
    );
    const unread = outcomes.filter(({ ok }) => !ok).length;
    if (unread > 0) {
      throw new Failure(exitCodes.refused, `${countOf(unread, "event")} could not be read`, [
        "Give events of the audit log as they are, with kind, auditID and stageTimestamp.",
      ]);
    }
  }

  private linesOf(outcome: ExplainOutcome, index: number, count: number): readonly string[] {
    const title = count === 1 ? [] : [`Event ${index + 1} of ${count}`];
    const body = outcome.ok
      ? renderExplanation(outcome.explanation, this.screen.paint)
      : [`The engine drops this event: ${clean(outcome.problem)}`];
    return [...title, ...body, ...(index + 1 < count ? [""] : [])];
  }
}

function asJson(outcome: ExplainOutcome): JsonValue {
  if (!outcome.ok) return { ok: false, problem: outcome.problem };
  const { verdict, matching, alerting, condition, rule } = outcome.explanation;
  const decidedBy = decidersOf(condition);
  return {
    ok: true,
    matches: verdict,
    enabled: rule.enabled,
    alerts: alerting.includes(rule.name),
    says: renderOutcome(outcome.explanation),
    matching_rules: [...matching],
    decided_by: decidedBy as unknown as JsonValue,
    condition: condition as unknown as JsonValue,
  };
}

function unknownRule(name: string, { rules }: RuleSet): Failure {
  const near = nearest(
    name,
    rules.map((rule) => rule.name),
  );
  const next = near.map((one) => `--rule '${one}'`);
  return misused(`No rule is called "${name}"`, ...(next.length > 0 ? next : ["Check --rule and --rules."]));
}
