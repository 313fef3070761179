import { iso, periodLine, type Sheet } from "./sheet.ts";
import { countOf, lackOf } from "./text.ts";

/** The days and clusters that a report is about. */
export interface Period {
  readonly fromMs: number;
  readonly untilMs: number;
  /** In words; empty for all that the reader may see. */
  readonly clusters: string;
}

/** A rollout, as far as a report tells of it. */
export interface ReportedRollout {
  readonly id: string;
  readonly kind: string;
  readonly bundle: string;
  readonly state: string;
  /** Clusters that proved it, of those that it is for. */
  readonly proved: number;
  readonly clusters: number;
  readonly by: string;
  readonly startedMs: number;
  readonly endedMs?: number;
  readonly because: string;
}

const stopped: readonly string[] = ["paused", "rolling-back", "rolled-back", "aborted"];

/** Rollouts that went on in the period: those that stopped or went back first, then the newest. */
export function rolloutsSheet(rollouts: readonly ReportedRollout[], period: Period, isCut: boolean): Sheet {
  const isBad = ({ state }: ReportedRollout): boolean => stopped.includes(state);
  const within = rollouts.filter(
    ({ startedMs, endedMs }) => startedMs < period.untilMs && (endedMs ?? period.untilMs) >= period.fromMs,
  );
  const rows = within.toSorted(
    (a, b) => Number(isBad(b)) - Number(isBad(a)) || b.startedMs - a.startedMs || (a.id < b.id ? -1 : 1),
  );
  const counted = `${countOf(rows.length, "rollout")}, ${rows.filter(isBad).length} of them stopped or went back`;
  return {
    title: "What was rolled out",
    period: periodLine(period),
    columns: ["State", "Kind", "Bundle", "Proved", "By", "Started", "Ended", "Because"],
    more: ["ID"],
    rows: rows.map((rollout) => ({
      cells: [
        rollout.state,
        rollout.kind,
        rollout.bundle,
        `${rollout.proved}/${rollout.clusters}`,
        rollout.by,
        iso(rollout.startedMs),
        rollout.endedMs === undefined ? "" : iso(rollout.endedMs),
        rollout.because,
      ],
      more: [rollout.id],
      isBad: isBad(rollout),
    })),
    nothing: "Nothing was rolled out.",
    summary: isCut ? `${counted}. There were more: the older ones are not in it.` : counted,
  };
}

/** A cluster, as far as a report tells whether it is watched. */
export interface ReportedCluster {
  readonly name: string;
  readonly region: string;
  readonly environment: string;
  readonly team: string;
  /** In one word; "healthy" when nothing is wrong. */
  readonly health: string;
  readonly agents: number;
  /** What its agents prove; empty when they prove nothing, or not the same. */
  readonly rules: string;
  readonly shipper: string;
  readonly heardMs?: number;
  /** In the period; undefined when they were not counted. */
  readonly alerts?: number;
}

/**
 * Which clusters are watched and by what: those that are not, or not well, first. At most `notStored` alerts of theirs, and of clusters that
 * are retired, were counted and not stored in the period.
 */
export function coverageSheet(
  clusters: readonly ReportedCluster[],
  period: Period,
  notStored: number,
): Sheet {
  const isBad = ({ health, rules }: ReportedCluster): boolean => health !== "healthy" || rules === "";
  const rows = clusters.toSorted(
    (a, b) => Number(isBad(b)) - Number(isBad(a)) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const good = rows.length - rows.filter(isBad).length;
  const counted = `${good} of ${countOf(rows.length, "cluster")} healthy and proved to run rules`;
  return {
    title: "Which clusters are watched",
    period: periodLine(period),
    columns: [
      "Cluster",
      "Region",
      "Environment",
      "Team",
      "Health",
      "Rules",
      "Shipper",
      "Last heard",
      "Alerts",
    ],
    more: ["Agents"],
    rows: rows.map((cluster) => ({
      cells: [
        cluster.name,
        cluster.region,
        cluster.environment,
        cluster.team,
        cluster.health,
        cluster.rules,
        cluster.shipper,
        cluster.heardMs === undefined ? "" : iso(cluster.heardMs),
        cluster.alerts === undefined ? "" : `${cluster.alerts}`,
      ],
      more: [`${cluster.agents}`],
      isBad: isBad(cluster),
    })),
    nothing: "There is no cluster.",
    summary: [
      counted,
      ...lackOf(notStored, "the numbers of alerts lack them, and those of retired clusters are among them"),
    ].join(". "),
  };
}

/** A sheet for programs: a row is an object with the columns' names in lower case. */
export function sheetJson({ title, period, summary, columns, more, rows }: Sheet): {
  readonly title: string;
  readonly period: string;
  readonly summary: string;
  readonly rows: Record<string, string>[];
} {
  const names = [...columns, ...more].map((name) => name.toLowerCase().replaceAll(" ", "_"));
  const objects = rows.map((row) => {
    const cells = [...row.cells, ...row.more];
    return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? ""]));
  });
  return { title, period, summary, rows: objects };
}
