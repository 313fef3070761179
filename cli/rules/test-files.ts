import { globSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { misused } from "../failure.ts";

/**
 * The test files that a person named: files, folders of YAML files, or patterns that the shell left alone. Rules and events
 * that lie beside tests in a folder are passed over, which is said. Throws a failure for what is not there.
 */
export function findTestFiles(named: readonly string[], say: (line: string) => void): readonly string[] {
  return named.flatMap((name) => {
    const found = statSync(name, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) return inFolder(name, say);
    if (found !== undefined) return [name];
    const matching = globSync(name).sort();
    if (matching.length > 0) return matching;
    throw misused(`${name} is not there`, "Give test files or folders of them.");
  });
}

function inFolder(folder: string, say: (line: string) => void): readonly string[] {
  const files = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && /\.ya?ml$/.test(entry.name))
    .map(({ name }) => join(folder, name))
    .sort();
  const others = files.filter(isOther);
  const tests = files.filter((file) => !others.includes(file));
  if (tests.length === 0) {
    throw misused(
      `There is no test file directly in ${folder}`,
      "Name its files, or the folder in it that has them.",
    );
  }
  if (others.length > 0) say(`passed over, no tests: ${others.join(", ")}`);
  return tests;
}

/** Whether a file is surely no test file: rules or events. Whatever else is wrong with it, a test run must tell. */
function isOther(file: string): boolean {
  const text = readFileSync(file, "utf8");
  const isRules = /^-\s+(?:rule|macro|list|required_\w+)\s*:/m.test(text);
  return !/^["']?tests["']?\s*:/m.test(text) && (isRules || /^kind\s*:/m.test(text));
}
