import { Flags } from "@oclif/core";
import {
  createEventStream,
  type EventStream,
  loadRules,
  type LoadOptions,
  type LoadReport,
  priorities,
  renderFindings,
  type RulesFile,
  type RuleSet,
  type RuleSwitch,
} from "#engine";
import { misused, refused } from "../failure.ts";
import { asList, envOf } from "../flags.ts";
import { readSources } from "../sources.ts";
import { parsePriorityWord } from "./test-reader.ts";

/** Several files after one flag, or the flag several times. */
export const filesFlag = (flag: string, summary: string, required = false) =>
  Flags.string({ summary, helpValue: "FILE", env: envOf(flag), multiple: true, required });

export const rulesFlag = filesFlag(
  "rules",
  "Rules files, or folders of them, in the order in which they load.",
  true,
);

export const compatFlag = Flags.option({
  summary: "Repair what is known to be wrong in Falco (fixed), or do as Falco does (strict).",
  options: ["fixed", "strict"] as const,
  default: "fixed" as const,
  env: envOf("compat"),
})();

export const matchingFlag = Flags.option({
  summary: "Whether an event raises the first alert that it can, or all of them.",
  options: ["first", "all"] as const,
  default: "first" as const,
  env: envOf("rule-matching"),
})();

/** Which rules run, and how. */
export const selectionFlags = {
  "minimum-priority": Flags.string({
    summary: "Only rules at least this urgent, such as WARNING.",
    helpValue: "PRIORITY",
    env: envOf("minimum-priority"),
  }),
  disable: Flags.string({
    summary: "Disable rules by name, * for any text, or by tag as tag=TAG.",
    helpValue: "RULE",
    env: envOf("disable"),
    multiple: true,
    multipleNonGreedy: true,
  }),
  enable: Flags.string({
    summary: "Enable rules by name or tag, after all that are disabled: --disable '*' --enable 'Secret *'.",
    helpValue: "RULE",
    env: envOf("enable"),
    multiple: true,
    multipleNonGreedy: true,
  }),
  compat: compatFlag,
};

interface Selection {
  readonly "minimum-priority"?: string | undefined;
  readonly disable?: readonly string[] | undefined;
  readonly enable?: readonly string[] | undefined;
  readonly compat: "fixed" | "strict";
}

/** What the selection flags ask of loading. Throws a failure for a priority that does not exist. */
export function loadOptionsFrom(flags: Selection): LoadOptions {
  const priority = flags["minimum-priority"];
  if (priority !== undefined && parsePriorityWord(priority) === undefined) {
    throw misused(
      `--minimum-priority "${priority}" is not a priority`,
      `--minimum-priority with one of ${priorities.join(", ")}`,
    );
  }
  const switches = [
    ...asList(flags.disable).map((text) => switchOf("disable", text)),
    ...asList(flags.enable).map((text) => switchOf("enable", text)),
  ];
  return { compat: flags.compat, switches, ...(priority === undefined ? {} : { minimumPriority: priority }) };
}

function switchOf(action: RuleSwitch["action"], text: string): RuleSwitch {
  return text.startsWith("tag=") ? { action, tag: text.slice(4) } : { action, rule: text };
}

/** Rules that loaded. */
export interface ReadyRules {
  readonly ruleset: RuleSet;
  readonly report: LoadReport;
  readonly files: readonly RulesFile[];
}

/** Reads and loads rules files. Throws a failure with the findings when they do not load. */
export async function readyRules(
  named: readonly string[] | undefined,
  options: LoadOptions = {},
): Promise<ReadyRules> {
  const files = await readSources(asList(named));
  return loadOrRefuse(files, options);
}

/** Loads rules files that were read. Throws a failure with the findings when they do not load. */
export function loadOrRefuse(files: readonly RulesFile[], options: LoadOptions = {}): ReadyRules {
  const report = loadRules(files, options);
  if (report.ok) return { ruleset: report.ruleset, report, files };
  throw refused(
    `The rules do not load:\n${renderFindings(report, files).trimEnd()}`,
    `fleetctl rules validate ${files.map(({ name }) => name).join(" ")}`,
  );
}

/** A stream as `rules run` and its like use it. */
export function streamFor(
  ruleset: RuleSet,
  flags: { readonly compat: "fixed" | "strict"; readonly "rule-matching"?: "first" | "all" },
  hostname = "localhost",
): EventStream {
  return createEventStream(ruleset, {
    hostname,
    compat: flags.compat,
    ruleMatching: flags["rule-matching"] ?? "first",
  });
}
