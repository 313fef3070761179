import { clean, plain, widthOf, type Paint, type Tone } from "./text.ts";

/** One column of a table. The cell's text is cleaned before it is printed. */
export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  readonly align?: "right";
  /** Shown only with `-o wide`. */
  readonly wide?: boolean;
  readonly tone?: (row: Row) => Tone | undefined;
}

export interface TableOptions {
  readonly wide: boolean;
  readonly paint?: Paint;
}

/**
 * Lines of a table without borders, as `kubectl` people read and `awk` takes apart: columns are two blanks from each
 * other, an empty cell is "-", no line ends in blanks.
 */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: TableOptions,
): string[] {
  const paint = options.paint ?? plain;
  const shown = columns.filter((column) => options.wide || column.wide !== true);
  const body = rows.map((row) => shown.map((column) => clean(column.cell(row)) || "-"));
  const widths = shown.map((column, index) =>
    Math.max(widthOf(column.title), ...body.map((cells) => widthOf(cells[index] ?? ""))),
  );
  const line = (cells: readonly string[], row?: Row): string =>
    shown
      .map((column, index) => {
        const text = cells[index] ?? "";
        const pad = " ".repeat(Math.max(0, (widths[index] ?? 0) - widthOf(text)));
        const tone = row === undefined ? undefined : column.tone?.(row);
        const painted = tone === undefined ? text : paint(tone, text);
        if (column.align === "right") return pad + painted;
        return index === shown.length - 1 ? painted : painted + pad;
      })
      .join("  ");
  return [line(shown.map((column) => column.title)), ...body.map((cells, index) => line(cells, rows[index]))];
}

/** Lines of `name: value` pairs with the values under each other; pairs without a value are left out. */
export function renderFields(
  fields: readonly (readonly [name: string, value: string | undefined])[],
): string[] {
  const present = fields.flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, value] as const],
  );
  const width = Math.max(0, ...present.map(([name]) => widthOf(name)));
  return present.map(([name, value]) => `${`${name}:`.padEnd(width + 2)}${clean(value)}`);
}

/** Lines under a title, with a blank line before; nothing when there are none. */
export function sectionLines(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${line}`)];
}
