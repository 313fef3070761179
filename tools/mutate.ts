import { parseArgs } from "node:util";
import { openJudge } from "./mutation/judge.ts";
import { mutantsOf, type Mutant } from "./mutation/mutants.ts";
import { sets, whyEquivalent, type MutationSet } from "./mutation/sets.ts";
import { root } from "./test-files.ts";

/**
 * `npm run mutate -- SET [--only TEXT] [--list]`: changes one check at a time in a scratch copy, runs the tests of the set
 * until one fails, and lists the changes that no test noticed. The exit code is 1 when one is left that the set does not
 * explain. `--only` takes the mutants whose line in the list contains the text: a file, a function, or ";  ->" for effects.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string" }, list: { type: "boolean" }, verbose: { type: "boolean" } },
});
const set = sets[positionals[0] ?? ""];
if (set === undefined) {
  console.error(`There is no such set. Sets: ${Object.keys(sets).join(", ")}`);
  process.exitCode = 2;
} else {
  const all = mutantsOf(root, set.files, set.skip);
  const chosen = all.filter((mutant) => describe(mutant).includes(values.only ?? ""));
  if (values.list === true) for (const mutant of chosen) console.log(describe(mutant));
  else process.exitCode = await run(set, chosen);
}

async function run(set: MutationSet, mutants: readonly Mutant[]): Promise<number> {
  const judge = openJudge(root, set);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      judge.close();
      process.exit(1);
    });
  }
  try {
    const broken = await judge.killerOf();
    if (broken !== undefined) {
      console.error(`The tests fail before anything is changed: mend them first (${broken})`);
      return 2;
    }
    const counts = { killed: 0, equivalent: 0, survived: 0 };
    for (const mutant of mutants) {
      const because = whyEquivalent(set, mutant);
      const killer = await judge.killerOf(mutant);
      const fate = killer !== undefined ? "killed" : because === undefined ? "survived" : "equivalent";
      counts[fate] += 1;
      if (fate === "survived") console.log(`survived  ${describe(mutant)}`);
      if (fate === "killed" && because !== undefined) console.log(`not equivalent  ${describe(mutant)}`);
      if (fate === "killed" && values.verbose === true) console.log(`${describe(mutant)}  by  ${killer}`);
    }
    const { killed, equivalent, survived } = counts;
    console.log(
      `${mutants.length} mutants: ${killed} killed, ${equivalent} equivalent, ${survived} survived`,
    );
    return survived === 0 ? 0 : 1;
  } finally {
    judge.close();
  }
}

function placeOf({ file, line }: Mutant): string {
  return `${file}:${line}`;
}

function describe(mutant: Mutant): string {
  const flat = (text: string) => text.replaceAll(/\s+/g, " ");
  return `${placeOf(mutant)} ${mutant.inside}(): ${flat(mutant.from)}  ->  ${flat(mutant.to)}`;
}
