import type { Shown } from "./context.ts";
import type { Finding } from "./findings.ts";
import type { LoadReport, RulesFile } from "./load.ts";

/** Renders errors and warnings for people: file, line and column, code, what is wrong, and the place with a caret. */
export function renderFindings(report: LoadReport, files: readonly RulesFile[]): string {
  const known = new Set(files.map(({ name }) => name));
  return report.results
    .filter(({ name }) => known.size === 0 || known.has(name))
    .map(({ name, successful, errors, warnings, notes }) => {
      const verdict = !successful ? "Invalid" : warnings.length > 0 ? "Ok, with warnings" : "Ok";
      const lines = [
        ...errors.map((one) => finding("error", one)),
        ...warnings.map((one) => finding("warning", one)),
        ...notes.map(({ message, shown }) => rendered("note", message, shown)),
      ];
      return [`${name}: ${verdict}`, ...lines].join("\n");
    })
    .join("\n");
}

function finding(kind: "error" | "warning", { code, codedesc, message, shown }: Finding): string {
  return rendered(`${kind} ${code}`, message === "" ? codedesc : message, shown);
}

/** A place inside a condition is shown by the snippet; the line to open is where the condition starts. */
function rendered(kind: string, words: string, { place, item, snippet }: Shown): string {
  const named = item === undefined ? "" : ` in ${item.type} '${item.name}'`;
  const lines = snippet.split("\n").map((line) => `    ${line}`);
  return `  ${place.name}:${place.line + 1}:${place.column + 1}: ${kind}${named}: ${words}\n${lines.join("\n")}`;
}
