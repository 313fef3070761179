import type { JsonValue } from "@bufbuild/protobuf";
import { diffRules, loadRules, renderFindings } from "#engine";
import { BundleService } from "#proto/fleet/v1/bundle";
import { type Bundle, bundleBytesMax } from "#trust";
import type { Wanted } from "../../connection.ts";
import { misused, refused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { labelsFrom, listFlag, requiredArg } from "../../flags.ts";
import { bundleFrom, isFile, readFileBounded } from "../../load-bundle.ts";
import { changeLines } from "../../plan-view.ts";
import { type BundleDiff as Difference, type CompareRules, diffBundles } from "../../trust/diff-bundles.ts";

export default class BundleDiff extends FleetCommand {
  static override summary = "Show what one bundle changes against another.";
  static override description =
    "A bundle is named as the server knows it, or by the file that bundle build wrote. The rules of rules bundles are compared as a cluster with the given labels loads them.";
  static override examples = [
    {
      description: "What the next version changes.",
      command: "<%= config.bin %> <%= command.id %> starter@1.1.0 starter@1.2.0",
    },
    {
      description: "What a bundle that is not pushed yet would change for team payments.",
      command: "<%= config.bin %> <%= command.id %> starter starter-1.3.0.json --label team=payments",
    },
  ];
  static override args = {
    from: requiredArg("NAME, NAME@VERSION, digest or file."),
    to: requiredArg("NAME, NAME@VERSION, digest or file."),
  };
  static override flags = {
    label: listFlag("label", "Labels of a cluster, so that the layers that match them apply.", "KEY=VALUE"),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(BundleDiff);
    const labels = labelsFrom(flags.label, "--label");
    const from = await this.load(args.from, flags);
    const to = await this.load(args.to, flags);
    if (from.kind !== to.kind) {
      throw misused(`${args.from} holds ${from.kind} and ${args.to} holds ${to.kind}`);
    }
    const difference = diffBundles(from, to, { labels, compareRules });
    this.answerWith(
      flags.output,
      () => difference as unknown as JsonValue,
      () => this.lines(difference),
    );
  }

  private lines({ identical, files, selectors, rules }: Difference): string[] {
    if (identical) return ["They hold the same."];
    const { paint } = this.screen;
    const changed = files.changed.map(
      (file) => `${file.name} (+${file.linesAdded} -${file.linesRemoved} lines)`,
    );
    const named = (title: string, lines: readonly string[]) => (lines.length === 0 ? [] : [title, ...lines]);
    return [
      ...named("files:", changeLines({ ...files, changed }, paint)),
      ...named("selectors:", changeLines({ added: [], removed: [], changed: selectors }, paint)),
      ...(rules === undefined ? [] : named("rules:", changeLines(rules, paint))),
    ];
  }

  private async load(name: string, wanted: Wanted): Promise<Bundle> {
    if (await isFile(name)) return bundleFrom(await readFileBounded(name, bundleBytesMax), name);
    const service = await this.client(BundleService, wanted);
    return bundleFrom((await service.getBundle({ bundle: name })).content, `bundle ${name}`);
  }
}

const compareRules: CompareRules = (before, after) => diffRules(rulesetOf(before), rulesetOf(after));

function rulesetOf(files: Parameters<CompareRules>[0]) {
  const report = loadRules(files);
  if (report.ok) return report.ruleset;
  throw refused(`The rules do not load with these labels:\n${renderFindings(report, files).trimEnd()}`);
}
