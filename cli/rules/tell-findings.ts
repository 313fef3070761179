import { type FileResult, type Finding, type LoadReport, renderFindings, type RulesFile } from "#engine";
import { adviceFor } from "./advice.ts";

/** The findings for people, each with what to do about it where that is known. Without a line break at the end. */
export function tellFindings(report: LoadReport, files: readonly RulesFile[]): string {
  return report.results.map((result) => tellFile(report, result, files)).join("\n");
}

function tellFile(report: LoadReport, result: FileResult, files: readonly RulesFile[]): string {
  const told = (some: Partial<FileResult>): readonly string[] => {
    const only = { ...result, ...some };
    return renderFindings({ ...report, results: [only] }, [])
      .trimEnd()
      .split("\n");
  };
  const [title = ""] = told({});
  const [, ...rest] = told({ errors: [], warnings: [] });
  const each = (finding: Finding, some: Partial<FileResult>): readonly string[] => {
    const lines = told(some).slice(1);
    // What belongs to no finding comes at the end, once.
    const own = lines.slice(0, lines.length - rest.length);
    const advice = adviceFor(finding, own.join("\n"), files);
    return advice === undefined ? own : [...own, `    try: ${advice}`];
  };
  return [
    title,
    ...result.errors.flatMap((error) => each(error, { errors: [error], warnings: [] })),
    ...result.warnings.flatMap((warning) => each(warning, { errors: [], warnings: [warning] })),
    ...rest,
  ].join("\n");
}
