import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A query of a panel. */
export interface PanelQuery {
  /** Where it stands, for messages. */
  readonly at: string;
  readonly language: "logql" | "promql";
  readonly isInstant: boolean;
  readonly text: string;
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly {
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets: readonly {
      readonly expr: string;
      readonly queryType?: string;
      readonly datasource: { readonly type: string };
    }[];
  }[];
}

const folder = join(import.meta.dirname, "..", "..", "deploy", "grafana", "dashboards");

export function readDashboards(): readonly Dashboard[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Dashboard);
}

/** The queries of all dashboards, with Grafana's variables as Grafana would fill them in. */
export function dashboardQueries(): readonly PanelQuery[] {
  return readDashboards().flatMap(({ uid, panels }) =>
    panels.flatMap(({ title, targets }) =>
      targets.map(({ expr, queryType, datasource }): PanelQuery => ({
        at: `${uid}: ${title}`,
        language: datasource.type === "loki" ? "logql" : "promql",
        isInstant: queryType === "instant",
        text: filled(expr, datasource.type === "loki" ? ".+" : ".*"),
      })),
    ),
  );
}

/** The query of one panel over a time range such as `7d`. */
export function panelOf(uid: string, title: string, range: string): string {
  const panels = readDashboards().find((each) => each.uid === uid)?.panels ?? [];
  const expr = panels.find((each) => each.title === title)?.targets[0]?.expr;
  if (expr === undefined) throw new Error(`The dashboard ${uid} has no panel "${title}"`);
  return filled(expr, ".+", range);
}

function filled(text: string, all: string, range: string = "1h"): string {
  return text
    .replaceAll(/\$__(?:auto|interval|rate_interval)/g, "1m")
    .replaceAll("$__range", range)
    .replaceAll(/"\$(?:region|cluster)"/g, `"${all}"`);
}
