import { renderTable } from "./table.ts";
import { clean, countOf } from "./text.ts";

/** What a set of rules looks at, and what it does not. */
export interface ShownCoverage {
  readonly rules: number;
  readonly tactics: readonly { readonly tag: string; readonly rules: readonly string[] }[];
  readonly techniques: readonly { readonly tag: string; readonly rules: readonly string[] }[];
  readonly tacticsWithout: readonly string[];
  readonly rulesWithout: readonly string[];
  readonly resources: readonly ShownResource[];
  readonly verbs: readonly { readonly verb: string; readonly rules: number }[];
}

export interface ShownResource {
  readonly resource: string;
  readonly rules: readonly string[];
  readonly seen: readonly string[];
  readonly general: readonly string[];
  readonly unseen: readonly string[];
  readonly eventsMissed: number | undefined;
}

/** Tags, then resources that rules ask for, then those that none asks for; `wide` names the rules. */
export function renderCoverage(coverage: ShownCoverage, wide: boolean): string[] {
  const asked = coverage.resources.filter(({ rules }) => rules.length > 0);
  const unasked = coverage.resources.filter(({ rules }) => rules.length === 0);
  return [
    countOf(coverage.rules, "enabled rule"),
    "",
    ...renderTable(
      [...coverage.tactics, ...coverage.techniques],
      [
        { title: "MITRE TAG", cell: ({ tag }) => tag },
        { title: "RULES", cell: ({ rules }) => String(rules.length), align: "right" },
        { title: "NAMES", cell: ({ rules }) => rules.join(", "), wide: true },
      ],
      { wide },
    ),
    `No rule is tagged: ${coverage.tacticsWithout.join(", ") || "none of the tactics is missing"}`,
    ...(coverage.rulesWithout.length === 0
      ? []
      : [`Without a MITRE tag: ${clean(coverage.rulesWithout.join(", "))}`]),
    "",
    "Resources that rules ask for (general: only rules about any resource can fire):",
    ...renderResources(asked, wide),
    "",
    "Resources that no rule asks for:",
    ...renderResources(unasked, wide),
    "",
    ...renderTable(
      coverage.verbs,
      [
        { title: "VERB", cell: ({ verb }) => verb },
        { title: "RULES", cell: ({ rules }) => (rules === 0 ? "none" : String(rules)), align: "right" },
      ],
      { wide },
    ),
  ];
}

function renderResources(resources: readonly ShownResource[], wide: boolean): string[] {
  if (resources.length === 0) return ["  none"];
  const events = resources.some(({ eventsMissed }) => eventsMissed !== undefined);
  return renderTable(
    resources,
    [
      { title: "RESOURCE", cell: ({ resource }) => resource },
      { title: "RULES", cell: ({ rules }) => String(rules.length), align: "right" },
      ...(events
        ? [
            {
              title: "EVENTS MISSED",
              cell: ({ eventsMissed }: ShownResource) => String(eventsMissed ?? 0),
              align: "right" as const,
            },
          ]
        : []),
      { title: "SEEN", cell: ({ seen }) => seen.join(",") },
      { title: "GENERAL", cell: ({ general }) => general.join(",") },
      { title: "UNSEEN", cell: ({ unseen }) => unseen.join(",") },
      { title: "NAMES", cell: ({ rules }) => rules.join(", "), wide: true },
    ],
    { wide },
  );
}
