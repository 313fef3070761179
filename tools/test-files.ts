import { existsSync, globSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";

export const root = join(import.meta.dirname, "..");

const rooms =
  "{agent,cli,deploy,docs,engine,layers,migrations,postgres,proto,report,rules,server,shipper,test,tools,traces,trust,web,wire}";

export const globalSetup = join(root, "test", "support", "global-setup.ts");

/**
 * The files and folders that take longest, as the last lines of a run name them. They begin first: one of minutes that began last would
 * run alone.
 */
const longest = [
  "test/e2e/chaos.test.ts",
  "test/faults/destinations.test.ts",
  "agent/trials.test.ts",
  "test/e2e",
  "test/faults",
  "test/attacks",
  "test/floods",
  "test/console",
  "test/docs/signers.test.ts",
  "postgres/supervisor.test.ts",
  "server/rpc/rollout-service",
  "server/rpc/scopes.test.ts",
];

/** Whether a file, by its absolute path, is one of those that take longest. */
export function isLong(path: string): boolean {
  return rank(relative(root, path)) < longest.length;
}

/** Where a file stands in {@link longest}: the lower, the earlier it begins. */
function rank(path: string): number {
  const at = longest.findIndex((long) => path === long || path.startsWith(`${long}/`));
  return at === -1 ? longest.length : at;
}

/** The test files in the wanted folders and files, or in all rooms; absolute paths, each once, the longest first. */
export function testFiles(wanted: readonly string[]): readonly string[] {
  const paths = wanted.map((path) => relative(root, resolve(path)));
  const found = (wanted.length === 0 ? [rooms] : paths).flatMap((path) => {
    const full = join(root, path);
    if (existsSync(full) && statSync(full).isFile()) return [path];
    return globSync(path === "" ? `${rooms}/**/*.test.ts` : `${path}/**/*.test.ts`, { cwd: root });
  });
  const sorted = [...new Set(found)].sort().sort((a, b) => rank(a) - rank(b));
  return sorted.map((path) => join(root, path));
}
