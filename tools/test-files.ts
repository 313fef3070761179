import { existsSync, globSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";

export const root = join(import.meta.dirname, "..");

const rooms =
  "{agent,cli,deploy,docs,engine,layers,migrations,postgres,proto,rules,server,shipper,test,tools,trust,wire}";

export const globalSetup = join(root, "test", "support", "global-setup.ts");

/** The test files in the wanted folders and files, or in all rooms; absolute paths, each once. */
export function testFiles(wanted: readonly string[]): readonly string[] {
  const paths = wanted.map((path) => relative(root, resolve(path)));
  const found = (wanted.length === 0 ? [rooms] : paths).flatMap((path) => {
    const full = join(root, path);
    if (existsSync(full) && statSync(full).isFile()) return [path];
    return globSync(path === "" ? `${rooms}/**/*.test.ts` : `${path}/**/*.test.ts`, { cwd: root });
  });
  return [...new Set(found)].sort().map((path) => join(root, path));
}
