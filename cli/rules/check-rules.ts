import { stat } from "node:fs/promises";
import { type FileResult, loadRules, type LoadOptions, type LoadReport, type RulesFile } from "#engine";
import { Failure, misused } from "../failure.ts";
import { expandFolders, filesMax, readSources, rulesEndings } from "../sources.ts";

/** What became of rules files, those that cannot be read among them. */
export interface CheckedRules {
  readonly report: LoadReport;
  readonly files: readonly RulesFile[];
}

/** Loads the files that a person named. One that cannot be read is an error of that file, and the others load all the same. */
export async function checkRules(named: readonly string[], options: LoadOptions): Promise<CheckedRules> {
  const sources: (RulesFile | FileResult)[] = [];
  for (const name of named) sources.push(...(await read(name)));
  if (sources.length > filesMax) throw misused(`${sources.length} files are more than ${filesMax}`);
  const files = sources.filter((source) => "content" in source);
  const { ok, ruleset, results } = loadRules(files, options);
  const loaded = results.values();
  const all = sources.map((source) =>
    "content" in source ? (loaded.next().value ?? unread(source.name, "")) : source,
  );
  return { report: { ok: ok && files.length === sources.length, ruleset, results: all }, files };
}

async function read(name: string): Promise<readonly (RulesFile | FileResult)[]> {
  const isFolder = await stat(name).then(
    (found) => found.isDirectory(),
    () => false,
  );
  // An empty folder is a slip of the command line and not of a file.
  const paths = isFolder ? await expandFolders([name], rulesEndings) : [name];
  const found: (RulesFile | FileResult)[] = [];
  for (const path of paths) {
    try {
      found.push(...(await readSources([path])));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      found.push(unread(path, error.message));
    }
  }
  return found;
}

function unread(name: string, message: string): FileResult {
  const position = { name, line: 0, column: 0, offset: 0 };
  const context = { locations: [{ item_type: "rules content", item_name: "", position }], snippet: "" };
  const shown = { place: position, item: undefined, snippet: "" };
  const error = { code: "LOAD_ERR_FILE_READ", codedesc: "File read error", message, context, shown } as const;
  return {
    name,
    successful: false,
    schema_valid: "none",
    schema_warnings: [],
    errors: [error],
    warnings: [],
    notes: [],
  };
}
