import {
  type DetectorOptions,
  type EngineConfig,
  engineConfigKeys,
  type IgnoredKey,
  type LoadOptions,
  parseEngineConfig,
  priorities,
  type RuleSwitch,
} from "#engine";
import { misused } from "../failure.ts";
import { asList } from "../flags.ts";
import { readFileBounded } from "../load-bundle.ts";
import { nearest } from "../nearest.ts";
import { parsePriorityWord } from "./test-reader.ts";

/** How rules load and events are evaluated: what the flags, the configuration file and the defaults come to. */
export interface EngineChoice {
  readonly load: LoadOptions & { readonly compat: "fixed" | "strict" };
  readonly detector: Omit<DetectorOptions, "hostname"> & {
    readonly compat: "fixed" | "strict";
    readonly ruleMatching: "first" | "all";
  };
}

/** Values of the flags in `rule-flags.ts`; a command has some of them. */
interface EngineFlags {
  readonly config?: string | undefined;
  readonly compat?: "fixed" | "strict" | undefined;
  readonly "rule-matching"?: "first" | "all" | undefined;
  readonly envelope?: DetectorOptions["envelope"] | undefined;
  readonly "minimum-priority"?: string | undefined;
  readonly disable?: readonly string[] | undefined;
  readonly enable?: readonly string[] | undefined;
}

const configBytesMax = 1024 * 1024;

export const defaultEngine: EngineChoice = {
  load: { compat: "fixed" },
  detector: { compat: "fixed", ruleMatching: "first" },
};

/** Reads the configuration file, if any, and puts the flags over it. Throws a failure for what cannot be read. */
export async function chooseEngine(flags: EngineFlags, warn: (line: string) => void): Promise<EngineChoice> {
  const { load, detector } = await readConfig(flags.config, warn);
  const compat = flags.compat ?? load.compat ?? "fixed";
  const priority = priorityOf(flags["minimum-priority"]) ?? load.minimumPriority;
  const { envelope = detector.envelope } = flags;
  const switches = [
    ...(load.switches ?? []),
    ...asList(flags.disable).map((text) => switchOf("disable", text)),
    ...asList(flags.enable).map((text) => switchOf("enable", text)),
  ];
  return {
    load: { ...load, compat, switches, ...(priority === undefined ? {} : { minimumPriority: priority }) },
    detector: {
      ...detector,
      compat,
      ruleMatching: flags["rule-matching"] ?? detector.ruleMatching ?? "first",
      ...(envelope === undefined ? {} : { envelope }),
    },
  };
}

async function readConfig(path: string | undefined, warn: (line: string) => void): Promise<EngineConfig> {
  if (path === undefined) return { load: {}, detector: {} };
  const bytes = await readFileBounded(path, configBytesMax);
  const parsed = parseEngineConfig(path, new TextDecoder().decode(bytes), process.env);
  if (!parsed.ok) {
    const lines = parsed.problems.join("\n");
    throw misused(`--config cannot be followed:\n${lines}`, `Repair ${path}, or leave --config away.`);
  }
  if (parsed.ignored.length > 0) warn(ignoredWords(path, parsed.ignored));
  return parsed.config;
}

function ignoredWords(path: string, ignored: readonly IgnoredKey[]): string {
  const meant = ignored.flatMap(({ key, line }) => {
    const [near] = nearest(key, engineConfigKeys);
    return near === undefined ? [] : [`; line ${line}: is "${key}" meant to be "${near}"?`];
  });
  const keys = ignored.map(({ key }) => key).join(", ");
  return `${path}: ignored, because they are not about rules and alerts: ${keys}${meant.join("")}`;
}

function priorityOf(word: string | undefined): string | undefined {
  if (word === undefined) return undefined;
  const priority = parsePriorityWord(word);
  if (priority !== undefined) return priority;
  throw misused(
    `--minimum-priority "${word}" is not a priority`,
    `--minimum-priority with one of ${priorities.join(", ")}`,
  );
}

function switchOf(action: RuleSwitch["action"], text: string): RuleSwitch {
  return text.startsWith("tag=") ? { action, tag: text.slice(4) } : { action, rule: text };
}
