import type { JsonValue } from "@bufbuild/protobuf";
import { compareRuleSets } from "#engine";
import { exitCodes, Failure, misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { asList, optionalArg, switchFlag } from "../../flags.ts";
import { isSame, renderComparison } from "../../output/rules-diff.ts";
import { readyRules } from "../../rules/ready-rules.ts";
import { filesFlag, loadFlags } from "../../rules/rule-flags.ts";

export default class RulesDiff extends FleetCommand {
  static override summary = "Compare two sets of rules by what they mean.";
  static override description =
    "Lists, macros, overrides and exceptions are written out first, so moving text or renaming a macro is no difference. Give two files or folders, or several of each with --old and --new.";
  static override examples = [
    {
      description: "What a new version of a file changes.",
      command: "<%= config.bin %> <%= command.id %> rules-v1.yaml rules-v2.yaml",
    },
    {
      description: "What our overrides change, with exit code 1 if they change anything.",
      command:
        "<%= config.bin %> <%= command.id %> --old base.yaml --new base.yaml overrides.yaml --exit-code",
    },
  ];
  static override args = {
    before: optionalArg("Rules file or folder before."),
    after: optionalArg("Rules file or folder after."),
  };
  static override flags = {
    old: filesFlag("old", "Rules files before, in the order in which they load."),
    new: filesFlag("new", "Rules files after, in the order in which they load."),
    "exit-code": switchFlag("exit-code", "End with exit code 1 when there is a difference."),
    compat: loadFlags.compat,
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RulesDiff);
    const { before, after } = sidesOf(args, { old: asList(flags.old), new: asList(flags.new) });
    const options = { compat: flags.compat ?? "fixed" };
    const old = await readyRules(before, options);
    const now = await readyRules(after, options);
    const comparison = compareRuleSets(old.ruleset, now.ruleset);
    this.answerWith(
      flags.output,
      () => comparison as unknown as JsonValue,
      () => renderComparison(comparison),
    );
    if (flags["exit-code"] && !isSame(comparison)) throw new Failure(exitCodes.refused, "The rules differ");
  }
}

function sidesOf(
  { before, after }: { readonly before: string | undefined; readonly after: string | undefined },
  flags: { readonly old: readonly string[]; readonly new: readonly string[] },
): { readonly before: readonly string[]; readonly after: readonly string[] } {
  const hasFlags = flags.old.length + flags.new.length > 0;
  if (!hasFlags && before !== undefined && after !== undefined) return { before: [before], after: [after] };
  if (before === undefined && flags.old.length > 0 && flags.new.length > 0) {
    return { before: flags.old, after: flags.new };
  }
  throw misused(
    "Two sets of rules are needed, either as two arguments or with --old and --new",
    "fleetctl rules diff old.yaml new.yaml",
    "fleetctl rules diff --old a.yaml b.yaml --new a.yaml c.yaml",
  );
}
