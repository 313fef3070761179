import { renderTable } from "./table.ts";

/** A field that rules may use. */
export interface FieldRow {
  readonly name: string;
  readonly type: string;
  readonly isList: boolean;
  readonly argument: string;
  readonly sources: readonly string[];
  readonly doc: string;
}

const forms: Readonly<Record<string, string>> = {
  none: "",
  "index-optional": "[INDEX]?",
  "key-required": "[KEY]",
  "key-optional": "[KEY]?",
  "word-required": "[WORD]",
};

/** A field as a rule writes it, with the argument it takes or may take. */
export function fieldForm({ name, argument }: Pick<FieldRow, "name" | "argument">): string {
  return `${name}${forms[argument] ?? ""}`;
}

/** The fields as a table; `-o wide` adds the sources. */
export function renderFieldRows(rows: readonly FieldRow[], wide: boolean): string[] {
  return renderTable(
    rows,
    [
      { title: "FIELD", cell: fieldForm },
      { title: "TYPE", cell: ({ type, isList }) => (isList ? `LIST(${type})` : type) },
      { title: "SOURCES", cell: ({ sources }) => sources.join(","), wide: true },
      { title: "MEANING", cell: ({ doc }) => doc },
    ],
    { wide },
  );
}
