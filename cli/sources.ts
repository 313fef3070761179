import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { misused } from "./failure.ts";

/** A rules or config file as the engine and the shipper read it. */
export interface Source {
  readonly name: string;
  readonly content: string;
}

/** Loading compiles all earlier files again after each file. */
export const filesMax = 200;
const bytesMax = 16 * 1024 * 1024;

/** Endings of the files that are meant where a folder is named. */
export const rulesEndings: readonly string[] = [".yaml", ".yml"];
const configEndings: readonly string[] = [...rulesEndings, ".conf"];

/**
 * Reads files that a person named, in their order; a folder stands for the files with one of the endings directly in it, by
 * name. Throws a failure for one that is missing, no text or too large.
 */
export async function readSources(
  named: readonly string[],
  endings: readonly string[] = configEndings,
): Promise<Source[]> {
  const paths = await expandFolders(named, endings);
  if (paths.length > filesMax) throw misused(`${paths.length} files are more than ${filesMax}`);
  const sources: Source[] = [];
  for (const path of paths) {
    try {
      if ((await stat(path)).size > bytesMax) throw misused(`${path} is larger than 16 MiB`);
      sources.push({
        name: path,
        content: new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path)),
      });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") throw misused(`${path} is no UTF-8 text`);
      throw unreadable(path, error);
    }
  }
  return sources;
}

/** Puts the files directly in a folder in the folder's place. Throws for a path that is not there. */
export async function expandFolders(
  named: readonly string[],
  endings: readonly string[] = configEndings,
): Promise<string[]> {
  const paths: string[] = [];
  for (const path of named) paths.push(...(await filesOf(path, endings)));
  return paths;
}

async function filesOf(path: string, endings: readonly string[]): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const files = (await readdir(path))
      .filter((name) => endings.some((ending) => name.endsWith(ending)))
      .sort();
    if (files.length === 0) throw misused(`There is no ${endings.join(", ")} file in ${path}`);
    return files.map((name) => join(path, name));
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Why a path cannot be read, or the error itself when it is not from the file system. */
function unreadable(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined ? error : misused(`${path} cannot be read (${code})`, "Check the path.");
}
