import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { RulesFile } from "#engine";

/**
 * Reads rules files the way Falco does: a folder stands for the *.yaml and *.yml files directly inside, in the order of
 * their names. Throws what the file system throws, which names the path.
 */
export function readRulesFiles(paths: readonly string[]): readonly RulesFile[] {
  return paths.flatMap((path) => {
    if (!statSync(path).isDirectory()) return [{ name: path, content: readFileSync(path, "utf8") }];
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
      .map((entry) => entry.name)
      .sort()
      .map((name) => ({ name: join(path, name), content: readFileSync(join(path, name), "utf8") }));
  });
}
