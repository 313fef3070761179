import type { Finding } from "./findings.ts";
import type { LoadReport, RulesFile } from "./load.ts";

/** Renders errors and warnings for people: file, line and column, code, what is wrong, and the place with a caret. */
export function renderFindings(report: LoadReport, files: readonly RulesFile[]): string {
  const known = new Set(files.map(({ name }) => name));
  return report.results
    .filter(({ name }) => known.size === 0 || known.has(name))
    .map(({ name, successful, errors, warnings }) => {
      const verdict = !successful ? "Invalid" : warnings.length > 0 ? "Ok, with warnings" : "Ok";
      const lines = [
        ...errors.map((one) => rendered("error", one)),
        ...warnings.map((one) => rendered("warning", one)),
      ];
      return [`${name}: ${verdict}`, ...lines].join("\n");
    })
    .join("\n");
}

function rendered(kind: "error" | "warning", { code, codedesc, message, context }: Finding): string {
  const { locations } = context;
  // A place inside a condition is shown by the snippet; the line to open is where the condition starts.
  const place = locations.findLast(({ item_type }) => item_type !== "condition expression")?.position;
  const item = locations.findLast(({ item_name }) => item_name !== "");
  const named = item === undefined ? "" : ` in ${item.item_type} '${item.item_name}'`;
  const where = place === undefined ? "" : `${place.name}:${place.line + 1}:${place.column + 1}: `;
  const words = message === "" ? codedesc : message;
  const snippet = context.snippet
    .split("\n")
    .filter((line) => line !== "------" && line !== "")
    .map((line) => `    ${line}`)
    .join("\n");
  return `  ${where}${kind} ${code}${named}: ${words}\n${snippet}`;
}
