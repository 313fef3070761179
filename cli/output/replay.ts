import { renderTable } from "./table.ts";
import type { TableOptions } from "./table.ts";
import { clean, countOf } from "./text.ts";

/** What the agent's program says about dead letters. */
export interface ReplayView {
  readonly parked: number;
  readonly replayed: number;
  readonly unreadable: number;
  readonly groups: readonly {
    readonly output: string | null;
    readonly reason: string;
    readonly count: number;
    readonly oldest: string;
    readonly newest: string;
  }[];
  readonly chosen: number;
  readonly agent: "running" | "away";
  readonly waiting: number;
  readonly results: readonly {
    readonly request: string;
    readonly finishedAt: string;
    readonly queued: number;
    readonly already: number;
    readonly skipped: number;
    readonly examples: readonly { readonly id: string; readonly why: string }[];
  }[];
}

/** What is set aside, and what became of earlier requests. */
export function renderReplay(view: ReplayView, options: TableOptions): string[] {
  const table = renderTable(
    view.groups,
    [
      { title: "COUNT", cell: (group) => String(group.count), align: "right" },
      { title: "OUTPUT", cell: (group) => group.output ?? "(no record)" },
      { title: "NEWEST", cell: (group) => group.newest.slice(0, 19) },
      { title: "OLDEST", cell: (group) => group.oldest.slice(0, 19), wide: true },
      { title: "REASON", cell: (group) => group.reason },
    ],
    options,
  );
  const facts = [
    `${countOf(view.parked, "record")} set aside`,
    ...(view.chosen === view.parked ? [] : [`${view.chosen} chosen`]),
    ...(view.replayed === 0 ? [] : [`${view.replayed} sent again`]),
    ...(view.unreadable === 0 ? [] : [`${view.unreadable} unreadable`]),
    ...(view.waiting === 0 ? [] : [`${view.waiting} wait for the agent, which is ${view.agent}`]),
  ];
  return [...(view.groups.length === 0 ? [] : table), facts.join(", "), ...renderResults(view)];
}

/** What was asked for, and who does it. */
export function renderRequested(view: ReplayView): string[] {
  const asked = `${countOf(view.chosen, "record")} to be sent again.`;
  if (view.chosen === 0) return ["Nothing that is set aside is meant."];
  return view.agent === "running"
    ? [`${asked} The agent takes them up now; run the command without choosing to see what became of them.`]
    : [`${asked} No agent works in this directory: the next one that starts sends them.`];
}

function renderResults(view: ReplayView): string[] {
  return view.results.flatMap(({ finishedAt, queued, already, skipped, examples }) => {
    const before = already === 0 ? "" : `, ${already} were before`;
    const summary = `${finishedAt.slice(0, 19)}: ${queued} sent again${before}, ${skipped} not`;
    return [summary, ...examples.slice(0, 5).map(({ id, why }) => `  ${clean(id)}: ${clean(why)}`)];
  });
}
