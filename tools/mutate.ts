import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { mutantsOf, type Mutant } from "./mutation/mutants.ts";
import { sets, whyEquivalent, type MutationSet } from "./mutation/sets.ts";
import { root } from "./test-files.ts";

/**
 * `npm run mutate -- SET [--only TEXT] [--list]`: changes one check at a time in a scratch copy, runs the tests of the set
 * until one fails, and lists the changes that no test noticed. The exit code is 1 when one is left that the set does not
 * explain. `--only` takes the mutants whose "file:line" begins with the text.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string" }, list: { type: "boolean" } },
});
const set = sets[positionals[0] ?? ""];
if (set === undefined) {
  console.error(`There is no such set. Sets: ${Object.keys(sets).join(", ")}`);
  process.exitCode = 2;
} else {
  const all = mutantsOf(root, set.files, set.skip);
  const chosen = all.filter((mutant) => placeOf(mutant).startsWith(values.only ?? ""));
  if (values.list === true) for (const mutant of chosen) console.log(describe(mutant));
  else process.exitCode = await run(set, chosen);
}

async function run(set: MutationSet, mutants: readonly Mutant[]): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), "falconry-mutate-"));
  try {
    for (const path of set.copied) cpSync(join(root, path), join(scratch, path), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(scratch, "node_modules"));
    if (!(await testsPass(set, scratch))) {
      console.error("The tests fail before anything is changed: mend them first");
      return 2;
    }
    const counts = { killed: 0, equivalent: 0, survived: 0 };
    for (const mutant of mutants) {
      const path = join(scratch, mutant.file);
      const text = readFileSync(path, "utf8");
      writeFileSync(path, text.slice(0, mutant.start) + mutant.to + text.slice(mutant.end));
      const because = whyEquivalent(set, mutant);
      const passed = await testsPass(set, scratch);
      writeFileSync(path, text);
      const fate = !passed ? "killed" : because === undefined ? "survived" : "equivalent";
      counts[fate] += 1;
      if (fate === "survived") console.log(`survived  ${describe(mutant)}`);
      if (fate === "killed" && because !== undefined) console.log(`not equivalent  ${describe(mutant)}`);
    }
    const { killed, equivalent, survived } = counts;
    console.log(
      `${mutants.length} mutants: ${killed} killed, ${equivalent} equivalent, ${survived} survived`,
    );
    return survived === 0 ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** One process for all tests; it is ended at the first failure, and when a mutant made it run for ever. */
function testsPass(set: MutationSet, cwd: string): Promise<boolean> {
  const flags = ["--test", "--test-isolation=none", "--test-reporter=tap", `--test-skip-pattern=${set.slow}`];
  const child = spawn(process.execPath, [...flags, ...set.tests], { cwd, stdio: ["ignore", "pipe", "ignore"] });
  const limit = setTimeout(() => child.kill("SIGKILL"), 120_000);
  child.stdout.on("data", (chunk: Buffer) => {
    if (/^ *not ok /m.test(chunk.toString())) child.kill("SIGKILL");
  });
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(limit);
      resolve(code === 0);
    });
  });
}

function placeOf({ file, line }: Mutant): string {
  return `${file}:${line}`;
}

function describe(mutant: Mutant): string {
  const flat = (text: string) => text.replaceAll(/\s+/g, " ");
  return `${placeOf(mutant)} ${mutant.inside}(): ${flat(mutant.from)}  ->  ${flat(mutant.to)}`;
}
