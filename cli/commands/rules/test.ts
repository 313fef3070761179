import { writeFile } from "node:fs/promises";
import { Args } from "../../oclif.ts";
import { answered, exitCodes, misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { switchFlag, textFlag } from "../../flags.ts";
import { renderJunit } from "../../output/junit.ts";
import { renderRuleTests } from "../../output/rule-tests.ts";
import { chooseEngine } from "../../rules/engine-choice.ts";
import { loadFlags, runFlags, selectionFlags } from "../../rules/rule-flags.ts";
import { findTestFiles } from "../../rules/test-files.ts";
import { runRuleTests, type TestResult } from "../../rules/test-runner.ts";

export default class RulesTest extends FleetCommand {
  static override summary = "Run rule tests: events that must fire and events that must not.";
  static override description =
    "A test file names rules, events and the alerts they must raise; a rule that is not named must not fire. Paths in it are relative to it. Ends with exit code 1 when a test fails.";
  static override examples = [
    {
      description: "The tests of the starter rules.",
      command: "<%= config.bin %> <%= command.id %> rules/starter/tests",
    },
    {
      description: "The names of the tests that fail.",
      command: `<%= config.bin %> <%= command.id %> tests.yaml -o json | jq -r '.tests[] | select(.ok | not).name'`,
    },
    {
      description: "In CI, with a report that it can show.",
      command: "<%= config.bin %> <%= command.id %> rules/tests --strict --junit report.xml",
    },
  ];
  static override strict = false;
  static override args = {
    files: Args.string({ required: true, ignoreStdin: true, description: "Test files, or folders of them." }),
  };
  static override flags = {
    junit: textFlag("junit", "Write a JUnit report to this file too.", "FILE"),
    strict: switchFlag("strict", "Fail tests of which there is something to note."),
    ...loadFlags,
    ...runFlags,
    "minimum-priority": selectionFlags["minimum-priority"],
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(RulesTest);
    const engine = await chooseEngine(flags, (line) => this.talk(line));
    const files = findTestFiles(argv as string[], (line) => this.talk(line));
    const results = runRuleTests(files, { engine, isStrict: flags.strict });
    const failed = results.filter((result) => result.failures.length > 0).length;
    this.answerWith(
      flags.output,
      () => ({
        passed: results.length - failed,
        failed,
        tests: results.map(({ file, line = null, name, failures, notes }) => ({
          file,
          line,
          name,
          ok: failures.length === 0,
          failures: [...failures],
          notes: [...notes],
        })),
      }),
      () => renderRuleTests(results),
    );
    if (flags.junit !== undefined) await writeReport(flags.junit, results);
    if (failed > 0) throw answered(exitCodes.refused);
  }
}

async function writeReport(path: string, results: readonly TestResult[]): Promise<void> {
  const report = renderJunit(results.map(({ file, ...test }) => ({ ...test, suite: file })));
  try {
    await writeFile(path, report);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw misused(`--junit ${path} cannot be written (${code})`, "Give a file in a folder that exists.");
  }
}
