import { writeFile } from "node:fs/promises";
import { Args } from "@oclif/core";
import { exitCodes, Failure, misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { switchFlag, textFlag } from "../../flags.ts";
import { renderJunit } from "../../output/junit.ts";
import { countOf } from "../../output/text.ts";
import { compatFlag } from "../../rules/rule-flags.ts";
import { renderTestResults, runRuleTests, type TestResult } from "../../rules/test-runner.ts";
import { expandFolders } from "../../sources.ts";

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
    strict: switchFlag("strict", "Fail tests with events that cannot be read or keys that are unknown."),
    compat: compatFlag,
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(RulesTest);
    const files = await expandFolders(argv as string[]);
    const results = runRuleTests(files, { compat: flags.compat, isStrict: flags.strict });
    const failed = results.filter((result) => result.failures.length > 0).length;
    if (flags.junit !== undefined) await writeReport(flags.junit, results);
    this.answerWith(
      flags.output,
      () => ({
        passed: results.length - failed,
        failed,
        tests: results.map(({ file, name, failures, notes }) => ({
          file,
          name,
          ok: failures.length === 0,
          failures: [...failures],
          notes: [...notes],
        })),
      }),
      () => [renderTestResults(results)],
    );
    if (failed > 0) throw new Failure(exitCodes.refused, `${countOf(failed, "rule test")} failed`);
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
