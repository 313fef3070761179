import type { JsonValue } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Alert, AlertService } from "#proto/fleet/v1/alert";
import { alertFilterFrom, alertRangeFlags } from "../alert-flags.ts";
import { misused } from "../failure.ts";
import { FleetCommand } from "../fleet-command.ts";
import { envOf, listFlag, selectorFrom, switchFlag, valuesOf } from "../flags.ts";
import { Flags } from "../oclif.ts";
import { renderTable, type Column } from "../output/table.ts";
import { cut } from "../output/text.ts";
import { toneOfPriority } from "../priority.ts";
import { renderSelector } from "../selector.ts";
import {
  actsJson,
  actsReports,
  details,
  readActs,
  readBounds,
  redact,
  redactable,
  redactableIn,
  renderCsv,
  renderHtml,
  renderMarkdown,
  rowsOf,
  sheetJson,
  sheetOf,
  who,
  type ActsReport,
  type Redactable,
  type ReportedAlert,
  type ReportRow,
  type Sheet,
} from "#report";

export const weekMs = 7 * 24 * 3_600_000;

const { rule: _rule, tag: _tag, ...range } = alertRangeFlags;

export const reportFlags = {
  ...range,
  week: switchFlag("week", "The last seven days, which is also what is meant without --since."),
  rule: listFlag("rule", "Alerts of these rules, instead of those that the report is about.", "NAME"),
  format: Flags.option({
    summary: "How to write it; csv, markdown and html are meant for a file.",
    options: ["table", "markdown", "csv", "html"] as const,
    default: "table" as const,
    env: envOf("format"),
  })(),
  redact: listFlag(
    "redact",
    `Replace these by other names: ${redactable.join(", ")}. URIs and the words of rules are left out then.`,
    "WHAT",
  ),
};

/** How a report is written; the same for all of them. */
export const writingFlags = { week: reportFlags.week, format: reportFlags.format };

interface WritingFlags {
  readonly output: "table" | "wide" | "json" | "yaml";
  readonly format: "table" | "markdown" | "csv" | "html";
  readonly week: boolean;
  readonly since?: string | undefined;
}

type ReportFlags = Parameters<typeof alertFilterFrom>[0] &
  Parameters<FleetCommand["client"]>[1] &
  WritingFlags & { readonly redact?: string[] | undefined };

/** What all reports have in common: how they are asked for and written. */
export abstract class SheetCommand extends FleetCommand {
  protected checkWriting(flags: WritingFlags): void {
    if (flags.week && flags.since !== undefined) {
      throw misused("--week and --since both say where the report begins", "Leave one of them away.");
    }
    if (flags.format !== "table" && flags.output !== "table") {
      throw misused(
        "--format and -o both say how to write it",
        "Leave one of them away; -o json is for programs.",
      );
    }
  }

  /** Prints a report as it was asked for. The terminal gets `lines`; without any, the sheet's own columns. */
  protected write(
    flags: WritingFlags,
    sheet: Sheet,
    json: () => JsonValue = () => sheetJson(sheet),
    lines: (wide: boolean) => readonly string[] = (wide) => this.#linesOf(sheet, wide),
  ): void {
    if (flags.format !== "table") {
      const render = { markdown: renderMarkdown, csv: renderCsv, html: renderHtml }[flags.format];
      this.screen.out(render(sheet));
    } else this.answerWith(flags.output, json, (wide) => (sheet.rows.length === 0 ? [] : lines(wide)));
    this.talk(`${sheet.title}, ${sheet.period}: ${sheet.summary}`);
  }

  #linesOf({ columns: titles, more, rows }: Sheet, wide: boolean): readonly string[] {
    const columns = [...titles, ...more].map((title, i): Column<Sheet["rows"][number]> => ({
      title: title.toUpperCase(),
      wide: i >= titles.length,
      cell: ({ cells, more: rest }) => [...cells, ...rest][i] ?? "",
      ...(i === 0 ? { tone: ({ isBad }) => (isBad ? "bad" : undefined) } : {}),
    }));
    return renderTable(rows, columns, { wide, paint: this.screen.paint });
  }
}

/** Reports of what was done: the alerts of rules with certain tags, as what somebody did. */
export abstract class ReportCommand extends SheetCommand {
  protected async report(flags: ReportFlags, name: keyof typeof actsReports): Promise<void> {
    this.checkWriting(flags);
    const { title, tags } = actsReports[name];
    const hidden = redactionsFrom(flags.redact, name);
    const now = this.screen.now();
    const report = await this.#make(flags, { title, tags, hidden, now });
    this.write(
      flags,
      sheetOf(report),
      () => actsJson(report),
      (wide) => renderTable(report.rows, columns, { wide, paint: this.screen.paint }),
    );
    if (report.rows.length === 0) await this.talkOfNoCluster(selectorFrom(flags), flags);
  }

  async #make(
    flags: ReportFlags,
    {
      title,
      tags,
      hidden,
      now,
    }: {
      readonly title: string;
      readonly tags: readonly string[];
      readonly hidden: ReadonlySet<Redactable>;
      readonly now: number;
    },
  ): Promise<ActsReport> {
    const since = flags.since ?? new Date(now - weekMs).toISOString().replace(/\.\d+Z$/, "Z");
    const ranged = alertFilterFrom({ ...flags, since }, now);
    // Rules that are named say what is wanted; else it is what the tags say.
    const filter = { ...ranged, tags: ranged.rules.length > 0 ? [] : [...tags] };
    const service = await this.client(AlertService, flags);
    const { acts: told, ...read } = await readActs(async (place: string | undefined) => {
      const wish = { filter, pageToken: place ?? "", pageSize: 500, countNotStored: place === undefined };
      const { alerts, nextPageToken, notStored } = await service.listAlerts(wish);
      const next = nextPageToken === "" ? undefined : nextPageToken;
      return { alerts: alerts.map(toReported), next, notStored: Number(notStored) };
    }, readBounds);
    const acts = redact(told, hidden);
    return {
      ...read,
      title,
      fromMs: filter.since === undefined ? now - weekMs : timestampMs(filter.since),
      untilMs: filter.until === undefined ? now : timestampMs(filter.until),
      clusters: hidden.has("cluster") ? "" : renderSelector(selectorFrom(flags)),
      rows: rowsOf(acts),
      acts: acts.length,
    };
  }
}

/** What of a report is to be replaced. */
export function redactionsFrom(
  given: string[] | undefined,
  report: keyof typeof redactableIn,
): ReadonlySet<Redactable> {
  const words = valuesOf(given);
  const known = redactableIn[report];
  const isKnown = (word: string): word is Redactable => known.some((each) => each === word);
  const unknown = words.find((word) => !isKnown(word));
  if (unknown !== undefined) {
    throw misused(
      `--redact "${unknown.slice(0, 40)}" is nothing that is in a report`,
      `--redact ${known.join(",")}`,
    );
  }
  return new Set(words.filter(isKnown));
}

function toReported(alert: Alert): ReportedAlert {
  const { clusterName: cluster, rule, priority, auditId, id, output, body, time } = alert;
  return {
    cluster,
    rule,
    priority,
    auditId,
    id,
    output,
    body,
    timeMs: time === undefined ? 0 : timestampMs(time),
  };
}

const detailsMax = 80;

const columns: readonly Column<ReportRow>[] = [
  { title: "PRIORITY", cell: (row) => row.priority, tone: (row) => toneOfPriority(row.priority) },
  { title: "OBJECT", cell: (row) => row.object },
  { title: "NAMESPACE", cell: (row) => row.namespace },
  { title: "CLUSTER", cell: (row) => row.cluster },
  { title: "USER", cell: who },
  { title: "FROM", cell: (row) => row.from },
  { title: "COUNT", align: "right", cell: (row) => `${row.count}` },
  { title: "LAST", cell: (row) => new Date(row.timeMs).toISOString() },
  { title: "DETAILS", cell: (row) => cut(details(row), detailsMax) },
  { title: "RULES", wide: true, cell: (row) => row.rules.join(",") },
  { title: "URI", wide: true, cell: (row) => row.uri },
];
