import { clean, countOf, cut } from "./text.ts";

/** What tuning came to. */
export interface ShownTuning {
  readonly alerts: number;
  readonly rules: readonly {
    readonly rule: string;
    readonly alerts: number;
    readonly left: number;
    readonly proposals: readonly ShownProposal[];
  }[];
  readonly replay:
    | {
        readonly events: number;
        readonly before: number;
        readonly after: number;
        readonly appeared: readonly { readonly rule: string; readonly alerts: number }[];
      }
    | undefined;
  readonly examples: number | undefined;
}

export interface ShownProposal {
  readonly fields: readonly string[];
  readonly comps: readonly string[];
  readonly values: readonly (string | readonly string[])[];
  readonly alerts: number;
  readonly replayed: number | undefined;
  readonly caution: string | undefined;
  readonly lost: readonly string[];
}

const rulesShownMax = 20;

/** The proposals by rule with what each removes, then what replay and tests prove, and what nothing proves. */
export function renderTuning(tuning: ShownTuning): string[] {
  const noisy = tuning.rules.filter(({ proposals }) => proposals.length > 0);
  const quiet = tuning.rules.length - noisy.length;
  return [
    `${countOf(tuning.alerts, "alert")} of ${countOf(tuning.rules.length, "rule")}`,
    ...noisy.slice(0, rulesShownMax).flatMap(renderRule),
    ...(noisy.length > rulesShownMax ? [`and ${noisy.length - rulesShownMax} rules more`] : []),
    ...(quiet > 0 ? [`${countOf(quiet, "rule")} without anything that repeats often enough`] : []),
    renderReplay(tuning.replay),
    ...appearedLines(tuning.replay),
    renderExamples(tuning),
  ];
}

function renderRule({ rule, alerts, left, proposals }: ShownTuning["rules"][number]): string[] {
  return [
    `${clean(rule)}: ${countOf(alerts, "alert")}, ${left} left`,
    ...proposals.flatMap((proposal) => {
      const { replayed, caution, lost } = proposal;
      const proof = replayed === undefined ? "" : `; ${replayed} gone in the replay`;
      const sign = lost.length > 0 ? "x" : "-";
      return [
        `  ${sign} ${String(proposal.alerts).padStart(5)} alerts${proof}: ${clean(tupleText(proposal))}`,
        ...(lost.length > 0
          ? [`      withdrawn: it would lose ${clean(cut(lost.join("; "), 300))}`]
          : caution === undefined
            ? []
            : [`      careful: ${caution}`]),
      ];
    }),
  ];
}

function tupleText({ fields, comps, values }: ShownProposal): string {
  return fields
    .map((field, index) => {
      const value = values[index] ?? "";
      return `${field} ${comps[index] ?? "="} ${typeof value === "string" ? value : `(${value.join(", ")})`}`;
    })
    .join(", ");
}

function renderReplay(replay: ShownTuning["replay"]): string {
  if (replay === undefined) {
    return "Counted on the alerts' own fields; --rules and --events replay the events themselves.";
  }
  const { events, before, after } = replay;
  return `Replayed ${countOf(events, "event")}: ${countOf(before, "alert")} of these rules before, ${after} after`;
}

function appearedLines(replay: ShownTuning["replay"]): string[] {
  return (replay?.appeared ?? []).map(
    ({ rule, alerts }) =>
      `  now raised by another rule, which was behind: ${clean(rule)}: ${countOf(alerts, "alert")}`,
  );
}

function renderExamples({ examples, rules }: ShownTuning): string {
  if (examples === undefined) {
    return "No tests were given, so nothing shows that attacks are still caught: give --tests.";
  }
  const withdrawn = rules.flatMap(({ proposals }) => proposals).filter(({ lost }) => lost.length > 0).length;
  const tried = `${countOf(examples, "must-fire example")} tried`;
  if (examples === 0) return "The tests hold no must-fire example of these rules, so they prove nothing.";
  if (withdrawn === 0) return `${tried}, none is lost`;
  return `${tried}, none is lost; ${countOf(withdrawn, "proposal")} withdrawn for it`;
}
