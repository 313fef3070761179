import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { falcoResults, loadRules } from "#engine";
import type { LoadReport } from "#engine";

/** What Falco read at its start, or with a reload. */
export interface LoadedFiles {
  readonly report: LoadReport;
  /** SHA-256 by file name, of the bytes that were read. */
  readonly hashes: readonly (readonly [name: string, sha256: string])[];
  readonly text: string;
}

/** Files and directories as `rules_files` names them: regular files that are called .yaml or .yml, sorted; what is not there is left out. */
export function rulesFilesIn(named: readonly string[]): readonly string[] {
  return named
    .filter((path) => existsSync(path))
    .flatMap((path) =>
      statSync(path).isDirectory()
        ? readdirSync(path)
            .sort()
            .map((name) => join(path, name))
        : [path],
    )
    .filter((path) => /\.ya?ml$/.test(path) && existsSync(path) && statSync(path).isFile());
}

export function loadFiles(paths: readonly string[]): LoadedFiles {
  const files = paths.map((path) => ({ name: path, content: readFileSync(path, "utf8") }));
  const hashes = files.map(
    ({ name, content }) => [basename(name), createHash("sha256").update(content).digest("hex")] as const,
  );
  const text = files.map(({ content }) => content).join("\n");
  return { report: loadRules(files, { compat: "strict" }), hashes, text };
}

/** Why this Falco would not run rules: their errors, or a field that it is too old for. */
export function problemOf({ report, text }: LoadedFiles, lacking: string | undefined): string | undefined {
  if (!report.ok) {
    return report.results.flatMap(({ errors }) => errors.map(({ message }) => message)).join("; ");
  }
  if (lacking === undefined || !text.includes(lacking)) return undefined;
  return `filter_check called with nonexistent field ${lacking}`;
}

/** What `falco -V` prints with JSON output. */
export function validationLine(loaded: LoadedFiles, lacking: string | undefined): string {
  const results = falcoResults(loaded.report.results);
  const problem = loaded.report.ok ? problemOf(loaded, lacking) : undefined;
  if (problem === undefined) return JSON.stringify({ falco_load_results: results });
  const error = {
    code: "LOAD_ERR_COMPILE_CONDITION",
    codedesc: "Error compiling condition",
    message: problem,
  };
  const failed = results.map((result) => ({ ...result, successful: false, errors: [error] }));
  return JSON.stringify({ falco_load_results: failed });
}
