import { renderCount } from "./quantity.ts";
import { renderTable } from "./table.ts";
import { countOf } from "./text.ts";

/** How fast rules are on some events. */
export interface ShownBench {
  readonly events: number;
  readonly eventsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly withoutRules: number;
  readonly jsonParse: number;
  readonly alerts: number;
  readonly rules: readonly {
    readonly rule: string;
    readonly nanosecondsPerEvent: number;
    readonly matches: number;
  }[];
}

/** The rates, then the rules by their cost; without `wide` only the most expensive ones. */
export function renderBench(bench: ShownBench, wide: boolean): string[] {
  const shown = wide ? bench.rules : bench.rules.slice(0, 20);
  const more = bench.rules.length - shown.length;
  const ratio =
    bench.jsonParse === 0 ? "" : ` (${(bench.eventsPerSecond / bench.jsonParse).toFixed(2)} of JSON.parse)`;
  return [
    `${countOf(bench.events, "event")}, ${countOf(bench.rules.length, "rule")}, ${countOf(bench.alerts, "alert")}`,
    `with all rules:  ${renderCount(bench.eventsPerSecond)} events/s, ${bench.megabytesPerSecond.toFixed(0)} MB/s${ratio}`,
    `without a rule:  ${renderCount(bench.withoutRules)} events/s`,
    `JSON.parse only: ${renderCount(bench.jsonParse)} events/s`,
    "",
    ...renderTable(
      shown,
      [
        { title: "NS/EVENT", cell: ({ nanosecondsPerEvent }) => String(nanosecondsPerEvent), align: "right" },
        { title: "MATCHES", cell: ({ matches }) => String(matches), align: "right" },
        { title: "RULE", cell: ({ rule }) => rule },
      ],
      { wide },
    ),
    ...(more > 0 ? [`and ${countOf(more, "cheaper rule")}: -o wide shows all`] : []),
  ];
}
