import { useMemo } from "react";
import type { Sheet } from "#report";
import { Empty } from "./states.tsx";
import { countText, nounText } from "../view/quantity.ts";
import { emptyColumns } from "../view/report.ts";

/** More rows than anybody reads in a browser; the files have all. */
const rowsShown = 500;

/** A report as a table. What clusters wrote is text in it: the report's own HTML is for files. */
export function ReportSheet({ sheet }: { readonly sheet: Sheet }) {
  const { title, period, columns, rows, nothing, summary } = sheet;
  const shown = rows.slice(0, rowsShown);
  // What nothing stands in leaves its room to the others. The files hold every column.
  const left = useMemo(() => emptyColumns(columns, rows), [columns, rows]);
  const filled = [...columns.entries()].filter(([, column]) => !left.includes(column));
  return (
    <section className="panel flush" aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        <span className="panel-aside faint">{period}</span>
      </header>
      {rows.length === 0 ? (
        <Empty>{nothing}</Empty>
      ) : (
        <div className="sheet-box" role="region" aria-label={`${title}, rows`} tabIndex={0}>
          <table className="sheet">
            <thead>
              <tr>
                {filled.map(([, column]) => (
                  <th key={column} scope="col">
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map(({ cells, isBad }, i) => (
                <tr key={`${i} ${cells[0]}`} className={isBad ? "is-bad" : ""}>
                  {filled.map(([at, column]) => (
                    <td key={column} data-title={column} className={classOf(column, cells[at] ?? "")}>
                      {cells[at]}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p className="calm">
        {summary}
        {rows.length > rowsShown
          ? ` The first ${countText(rowsShown)} of ${nounText(rows.length, "row")} are shown; the files hold all.`
          : ""}
        {rows.length > 0 && left.length > 0 ? ` Empty in all of them: ${left.join(", ")}.` : ""}
      </p>
    </section>
  );
}

function classOf(column: string, cell: string): string {
  if (column === "Details" || column === "Because") return "mono";
  if (column === "Object") return "name";
  return column === "Priority" || /^\d{4}-\d\d-\d\dT/.test(cell) ? "whole" : "";
}
