import { severity } from "./priority.ts";
import type { Act } from "./act.ts";
import { iso, periodLine, type Sheet } from "./sheet.ts";
import { countOf, lackOf } from "./text.ts";

/** Acts that differ in nothing but their time. */
export interface ReportRow extends Act {
  readonly count: number;
  /** `timeMs` is that of the newest one. */
  readonly firstMs: number;
}

/** What was done in some days: the report that people forward. */
export interface ActsReport {
  readonly title: string;
  readonly fromMs: number;
  readonly untilMs: number;
  /** Which clusters were asked for, in words; empty when that is not to be told. */
  readonly clusters: string;
  /** The worst first, then the most frequent, then the newest. */
  readonly rows: readonly ReportRow[];
  /** How many acts the rows stand for, and how many alerts those raised. */
  readonly acts: number;
  readonly alerts: number;
  /** Whether older alerts were left out, because there were more than are read. */
  readonly isCut: boolean;
  /** At most so many more were counted and not stored, because their clusters sent too many. */
  readonly notStored: number;
}

/** Rows out of acts: the same thing done again counts. */
export function rowsOf(acts: readonly Act[]): readonly ReportRow[] {
  const same = Map.groupBy(acts, ({ cluster, namespace, object, user, as, from, command, output }) =>
    JSON.stringify([cluster, namespace, object, user, as, from, command, command === "" ? output : ""]),
  );
  return [...same.values()].map(rowOf).toSorted(byRisk);
}

function rowOf(acts: readonly Act[]): ReportRow {
  const newest = acts.reduce((a, b) => (b.timeMs >= a.timeMs ? b : a));
  const worst = acts.reduce((a, b) => (severity(b.priority) < severity(a.priority) ? b : a));
  return {
    ...newest,
    priority: worst.priority,
    rules: [...new Set(acts.flatMap(({ rules }) => rules))].toSorted(),
    count: acts.length,
    firstMs: Math.min(...acts.map(({ timeMs }) => timeMs)),
  };
}

function byRisk(a: ReportRow, b: ReportRow): number {
  return severity(a.priority) - severity(b.priority) || b.count - a.count || b.timeMs - a.timeMs;
}

/** The reports of what was done, and the tags of the rules that they are about. */
export const actsReports: Readonly<
  Record<"exec" | "secrets" | "privileges", { readonly title: string; readonly tags: readonly string[] }>
> = {
  exec: { title: "Who ran commands in pods", tags: ["T1609"] },
  secrets: { title: "Who read secrets", tags: ["secrets"] },
  privileges: { title: "Who granted or took privileges", tags: ["rbac", "identity", "workload"] },
};

/** What was done: the command, or what the rule says. */
export const details = (row: ReportRow): string => row.command || row.output;
export const who = (row: ReportRow): string => (row.as === "" ? row.user : `${row.user} as ${row.as}`);

interface ReportColumn {
  readonly title: string;
  readonly cell: (row: ReportRow) => string;
}

/** The columns of the report that people forward. */
const columns: readonly ReportColumn[] = [
  { title: "Priority", cell: (row) => row.priority },
  { title: "Object", cell: (row) => row.object },
  { title: "Namespace", cell: (row) => row.namespace },
  { title: "Cluster", cell: (row) => row.cluster },
  { title: "User", cell: who },
  { title: "Remote IP", cell: (row) => row.from },
  { title: "Details", cell: details },
  { title: "Last", cell: (row) => iso(row.timeMs) },
  { title: "Count", cell: (row) => `${row.count}` },
  { title: "Rules", cell: (row) => row.rules.join(", ") },
];

/** What there is no room for on a screen: when it was first, and what the request was. */
const moreColumns: readonly ReportColumn[] = [
  { title: "First", cell: (row) => iso(row.firstMs) },
  { title: "URI", cell: (row) => row.uri },
];

/** What the rows stand for, and what is not in them. */
function countLine({ rows, acts, alerts, isCut, notStored }: ActsReport): string {
  const counted = `${countOf(rows.length, "row")}, ${countOf(acts, "act")}, ${countOf(alerts, "alert")}`;
  const lacks = [
    ...(isCut ? ["There were more alerts than are read: the older ones are not in it."] : []),
    ...lackOf(notStored, "what they tell is not in it"),
  ];
  return lacks.length === 0 ? counted : `${counted}. ${lacks.join(" ")}`;
}

/** The report as a table for any format. */
export function sheetOf(report: ActsReport): Sheet {
  const { title, fromMs, untilMs, clusters, rows } = report;
  return {
    title,
    period: periodLine({ fromMs, untilMs, clusters }),
    columns: columns.map((column) => column.title),
    more: moreColumns.map((column) => column.title),
    rows: rows.map((row) => ({
      cells: columns.map(({ cell }) => cell(row)),
      more: moreColumns.map(({ cell }) => cell(row)),
      isBad: severity(row.priority) <= severity("Error"),
    })),
    nothing: report.notStored === 0 ? "Nothing was caught." : "Nothing that is stored belongs in it.",
    summary: countLine(report),
  };
}

/** The report for programs. Times as they are read everywhere. */
export function actsJson({ fromMs, untilMs, rows, ...rest }: ActsReport) {
  const at = (ms: number) => new Date(ms).toISOString();
  return {
    ...rest,
    from: at(fromMs),
    until: at(untilMs),
    rows: rows.map(({ timeMs, firstMs, rules, ...row }) => ({
      ...row,
      rules: [...rules],
      first: at(firstMs),
      last: at(timeMs),
    })),
  };
}
