import { globSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import type { RulesFile } from "#engine";
import { isZipped } from "./gzip.ts";
import { readRulesFiles } from "./rules-files.ts";
import { eventsOf } from "./test-events.ts";

/** Events of one file or of one test. */
const eventBytesMax = 256 * 1024 * 1024;

/** A file that a test names and that cannot be used. The message says which, why and what to do. */
export class SourceProblem extends Error {}

/**
 * Puts the files that match in the place of a pattern with `*`, `?`, `[...]` or `{...}`, by name. Paths are relative to the
 * folder of the test file. Throws {@link SourceProblem} for what matches nothing.
 */
export function expandPaths(folder: string, named: readonly string[]): readonly string[] {
  return named.flatMap((name) => {
    const path = resolve(folder, name);
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return [path];
    const found = /[*?[{]/.test(name) ? globSync(name, { cwd: folder }) : [];
    if (found.length > 0) return found.sort().map((one) => resolve(folder, one));
    throw new SourceProblem(`${name} is not there; paths are relative to the test file, so this is ${path}`);
  });
}

/** Reads the rules files that a test names. */
export function readTestRules(folder: string, named: readonly string[]): readonly RulesFile[] {
  return naming(() => readRulesFiles(expandPaths(folder, named)));
}

/** Reads an event file as payloads for a detector. */
export function readTestEvents(path: string): readonly string[] {
  return naming(() => {
    const found = statSync(path);
    if (found.isDirectory()) {
      throw new SourceProblem(`${path} is a folder; name its files, such as ${path}/*`);
    }
    if (found.size > eventBytesMax) {
      throw new SourceProblem(`${path} is larger than ${eventBytesMax} bytes; split it`);
    }
    const bytes = readFileSync(path);
    return eventsOf(
      (isZipped(bytes) ? gunzipSync(bytes, { maxOutputLength: eventBytesMax }) : bytes).toString("utf8"),
    );
  });
}

/** Anything but what the file system and the unpacker refuse is a bug and is thrown on. */
function naming<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SourceProblem || !(error instanceof Error && "code" in error)) throw error;
    throw new SourceProblem(error.message, { cause: error });
  }
}
