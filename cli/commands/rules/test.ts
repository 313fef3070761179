import { Args } from "@oclif/core";
import { exitCodes, Failure } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countOf } from "../../output/text.ts";
import { renderTestResults, runRuleTests } from "../../rules/test-runner.ts";
import { expandFolders } from "../../sources.ts";

export default class RulesTest extends FleetCommand {
  static override summary = "Run rule tests: events that must fire and events that must not.";
  static override description =
    "A test file names rules files, events and the alerts they must raise; a rule that is not named must not fire. Ends with exit code 1 when a test fails.";
  static override examples = [
    {
      description: "The tests of the starter rules.",
      command: "<%= config.bin %> <%= command.id %> rules/starter/tests",
    },
    {
      description: "The names of the tests that fail.",
      command: `<%= config.bin %> <%= command.id %> tests.yaml -o json | jq -r '.tests[] | select(.ok | not).name'`,
    },
  ];
  static override strict = false;
  static override args = {
    files: Args.string({ required: true, ignoreStdin: true, description: "Test files, or folders of them." }),
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(RulesTest);
    const results = runRuleTests(await expandFolders(argv as string[]));
    const failed = results.filter((result) => result.failures.length > 0).length;
    this.answerWith(
      flags.output,
      () => ({
        passed: results.length - failed,
        failed,
        tests: results.map(({ file, name, failures }) => ({
          file,
          name,
          ok: failures.length === 0,
          failures: [...failures],
        })),
      }),
      () => [renderTestResults(results)],
    );
    if (failed > 0) throw new Failure(exitCodes.refused, `${countOf(failed, "rule test")} failed`);
  }
}
