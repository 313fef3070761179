import { appendFileSync, readFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

/**
 * Loaded into the process of a test file: when that ends, what it and the processes that it started and that have ended took of the
 * cores is appended to the file that `FALCONRY_TEST_COST` names, as a line "seconds path".
 */
const to = process.env["FALCONRY_TEST_COST"];
const path = process.argv[1] ?? "";

if (to !== undefined && isMainThread && /\.test\.m?ts$/.test(path)) {
  process.once("exit", () => appendFileSync(to, `${cpuSeconds()} ${path}\n`));
}

/** Fields 14 to 17 of proc(5)'s stat, in hundredths of a second: of this process, and of its children that have ended. 0 where there is no /proc. */
export function cpuSeconds(): number {
  if (process.platform !== "linux") return 0;
  const [, fields = ""] = readFileSync("/proc/self/stat", "utf8").split(") ");
  const ticks = fields.split(" ").slice(11, 15).map(Number);
  return ticks.reduce((sum, each) => sum + each, 0) / 100;
}
