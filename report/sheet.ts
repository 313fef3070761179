/** A report as text for people and programs. Names in it come from whoever did what it reports, so each format escapes them. */
import { clean } from "./text.ts";

export interface SheetRow {
  /** One for each column. */
  readonly cells: readonly string[];
  readonly more: readonly string[];
  /** Whether it is what to look at first. */
  readonly isBad: boolean;
}

/** What a report holds, whatever it is about and however it is written. */
export interface Sheet {
  readonly title: string;
  readonly period: string;
  readonly columns: readonly string[];
  /** Columns that files have, and a screen has no room for. */
  readonly more: readonly string[];
  readonly rows: readonly SheetRow[];
  /** What is said when there is no row. */
  readonly nothing: string;
  /** What the rows stand for, and what is not in them. */
  readonly summary: string;
}

export const iso = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

/** "2026-11-22T00:00:00Z to 2026-11-29T00:00:00Z, region=eu" */
export function periodLine(period: {
  readonly fromMs: number;
  readonly untilMs: number;
  /** Which clusters were asked for, in words; empty when that is not to be told. */
  readonly clusters: string;
}): string {
  const { fromMs, untilMs, clusters } = period;
  return `${iso(fromMs)} to ${iso(untilMs)}${clusters === "" ? "" : `, ${clusters}`}`;
}

export function renderCsv({ columns, more, rows }: Sheet): string {
  const lines = [[...columns, ...more], ...rows.map((row) => [...row.cells, ...row.more])];
  return lines.map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("");
}

/**
 * RFC 4180, every cell in quotes. What a spreadsheet would take for a formula gets an apostrophe before it, at the start of a cell and also
 * behind each semicolon: where that is the list separator a file like this falls apart there, and what follows begins a cell, quotes or not.
 */
function csvCell(text: string): string {
  const safe = clean(text).replaceAll(/(^|;)([\s"']*)(?=[=+\-@＝＋－＠])/g, "$1$2'");
  return `"${safe.replaceAll('"', '""')}"`;
}

/** All columns that hold something. */
function wholeOf({ columns, more, rows }: Sheet): Pick<Sheet, "columns" | "rows"> {
  const isHeld = more.map((_, i) => rows.some((row) => (row.more[i] ?? "") !== ""));
  const held = (cells: readonly string[]) => cells.filter((_, i) => isHeld[i]);
  return {
    columns: [...columns, ...held(more)],
    rows: rows.map((row) => ({ ...row, cells: [...row.cells, ...held(row.more)] })),
  };
}

export function renderMarkdown(sheet: Sheet): string {
  const { title, period, nothing, summary } = sheet;
  const { columns, rows } = wholeOf(sheet);
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const table = [
    line(columns),
    line(columns.map(() => "---")),
    ...rows.map(({ cells }) => line(cells.map(markdownCell))),
  ];
  const body = rows.length === 0 ? [nothing] : table;
  return `${[`# ${title}`, "", period, "", ...body, "", summary].join("\n")}\n`;
}

/** As text: whatever Markdown or HTML might take for something else is written so that it is shown. */
function markdownCell(text: string): string {
  return clean(text)
    .replaceAll(/[\\`*_{}[\]<>#|!~$]/g, (letter) => `\\${letter}`)
    .replaceAll("&", "&amp;")
    .replaceAll(/\b(https?|ftp):/gi, "$1&#58;");
}

const style = `
  :root { color-scheme: light dark; }
  body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; }
  h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
  p { margin: 0 0 1rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #8888; }
  th { white-space: nowrap; }
  td.details, td.uri { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
  td.last, td.first { white-space: nowrap; }
  td.uri { font-size: .85em; min-width: 14rem; }
  tr.bad td:first-child { font-weight: 700; }
  @media screen and (max-width: 48rem) {
    body { margin: 1rem; }
    thead { display: none; }
    tr { display: block; padding: .5rem 0; border-bottom: 1px solid #8888; }
    td { display: flex; gap: .5rem; padding: .1rem 0; border: 0; }
    td:empty { display: none; }
    td::before { content: attr(data-title); flex: 0 0 6rem; opacity: .7; }
  }
  @page { size: landscape; margin: 10mm; }
  @media print { td.uri { min-width: 0; } body { margin: 0; font-size: 10px; } thead { display: table-header-group; } tr { break-inside: avoid; } }
`;

/** One file without anything from elsewhere: it can be mailed, and it prints. */
export function renderHtml(sheet: Sheet): string {
  const { nothing, summary } = sheet;
  const { columns, rows } = wholeOf(sheet);
  const head = columns.map((title) => `<th scope="col">${title}</th>`).join("");
  const body = rows.map(({ cells, isBad }) => {
    const tds = cells.map((cell, i) => {
      const title = columns[i] ?? "";
      return `<td class="${title.toLowerCase().replaceAll(" ", "-")}" data-title="${title}">${escapeHtml(clean(cell))}</td>`;
    });
    return `<tr${isBad ? ' class="bad"' : ""}>${tds.join("")}</tr>\n`;
  });
  const table = `<table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body.join("")}</tbody>\n</table>`;
  const title = escapeHtml(sheet.title);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<h1>${title}</h1>
<p>${escapeHtml(sheet.period)}</p>
${rows.length === 0 ? `<p>${escapeHtml(nothing)}</p>` : table}
<p>${escapeHtml(summary)}</p>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
