import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export const root = join(import.meta.dirname, "..", "..");

/** What .gitignore keeps out, and the history itself. */
const notOurs = new Set([".git", "node_modules", "dist", ".falconry"]);

/** Every file of the repository, relative to its root. */
export function repositoryFiles(folder: string = root): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (notOurs.has(entry.name) || /\.(log|tsbuildinfo)$/.test(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return repositoryFiles(path);
    return entry.isFile() ? [relative(root, path)] : [];
  });
}

export function readText(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** `file:line: text` of every line that matches. */
export function linesMatching(file: string, pattern: RegExp): readonly string[] {
  return readText(file)
    .split("\n")
    .flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 120)}`] : []));
}
