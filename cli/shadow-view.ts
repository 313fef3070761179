import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { GetShadowResponse } from "#proto/fleet/v1/rollout";
import type { Shadow, ShadowExample, ShadowProblem, ShadowRuleSum } from "#proto/fleet/v1/shadow";
import { renderTable, type TableOptions } from "./output/table.ts";
import { clean, cut } from "./output/text.ts";

/** One line about how a shadow stands. */
export function shadowLine(shadow: Shadow): string {
  const state = shadow.isOver ? "over" : `until ${timeText(shadow.until)}`;
  const share = `${shadow.evaluated} of ${shadow.agents} agents evaluated ${shadow.events} events`;
  const result = `${shadow.new} alerts new, ${shadow.gone} gone (${shadow.now} now, ${shadow.candidate} then)`;
  return `shadow ${state}: ${share}: ${result}${caveats(shadow)}`;
}

/** What keeps the figures from being the whole truth. */
function caveats({ refused, skipped, undecided, failures }: Shadow): string {
  const parts = [
    refused > 0 ? `${refused} agents could not or not to the end` : "",
    skipped > 0n ? `${skipped} events left out for lack of time` : "",
    undecided > 0n ? `${undecided} times a rule was not decided` : "",
    failures > 0n ? `${failures} events failed` : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "" : `; ${parts.join(", ")}`;
}

export function shadowLines(
  { shadow, rules, problems }: GetShadowResponse,
  options: TableOptions,
): readonly string[] {
  return [
    ...(shadow === undefined ? [] : [shadowLine(shadow), ""]),
    ...findingLines(rules, problems, options),
  ];
}

/** What a candidate would change, per rule, and which agents could not tell. */
export function findingLines(
  rules: readonly ShadowRuleSum[],
  problems: readonly ShadowProblem[],
  options: TableOptions,
): readonly string[] {
  const differing = rules.filter((rule) => rule.new + rule.gone > 0n);
  const same = rules.length - differing.length;
  const shown = options.wide ? rules : differing;
  const table = renderTable<ShadowRuleSum>(
    shown,
    [
      { title: "RULE", cell: (row) => row.rule },
      { title: "NOW", cell: (row) => String(row.now), align: "right" },
      { title: "THEN", cell: (row) => String(row.candidate), align: "right" },
      {
        title: "NEW",
        cell: (row) => String(row.new),
        align: "right",
        tone: (row) => (row.new > 0n ? "busy" : undefined),
      },
      {
        title: "GONE",
        cell: (row) => String(row.gone),
        align: "right",
        tone: (row) => (row.gone > 0n ? "bad" : undefined),
      },
      { title: "CLUSTERS", cell: (row) => String(row.clusters), align: "right" },
    ],
    options,
  );
  const examples = shown.flatMap((rule) => rule.examples.map((example) => exampleLine(rule.rule, example)));
  const troubles = problems.map(
    ({ clusterName, agentName, reason, detail }) =>
      `  ${clean(clusterName)}/${clean(agentName)}: ${clean(reason)}: ${cut(clean(detail), 200)}`,
  );
  return [
    ...(shown.length === 0 ? ["No rule raises anything else."] : table),
    ...(same > 0 && !options.wide ? [`${same} more rules raised the same (-o wide shows them).`] : []),
    ...(examples.length === 0 ? [] : ["", "Examples:", ...examples]),
    ...(troubles.length === 0 ? [] : ["", "Agents that did not evaluate it, or not all of it:", ...troubles]),
  ];
}

function exampleLine(rule: string, { clusterName, isGone, time, fields }: ShadowExample): string {
  const shown = Object.entries(fields).map(([name, value]) => `${clean(name)}=${clean(value)}`);
  const head = `${isGone ? "gone" : "new"} ${clean(rule)} on ${clean(clusterName)} at ${timeText(time)}`;
  return cut(`  ${head}: ${shown.join(" ")}`, 400);
}

/** A moment to the second, in UTC. */
export function timeText(time: Timestamp | undefined): string {
  return time === undefined
    ? "-"
    : timestampDate(time)
        .toISOString()
        .replace(/\.\d+Z$/, "Z");
}
