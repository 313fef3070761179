import { Args, Flags } from "./oclif.ts";
import type { Requirement, Selector } from "#proto/fleet/v1/common";
import { parseDuration } from "./duration.ts";
import { misused } from "./failure.ts";
import { parseSelector, requirementIn, selectorOf } from "./selector.ts";

/** The environment's name for a flag: `--max-failures` is `FLEETCTL_MAX_FAILURES`. */
export function envOf(flag: string): string {
  return `FLEETCTL_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/** A flag that takes a text as it is. */
export const textFlag = (flag: string, summary: string, helpValue: string) =>
  Flags.string({ summary, helpValue, env: envOf(flag) });

/** A switch; false, and not undefined, when it is not given. */
export const switchFlag = (flag: string, summary: string) =>
  Flags.boolean({ summary, env: envOf(flag), default: false });

/** A flag that may be given several times, and as a list with commas: read it with `valuesOf()`. */
export const listFlag = (flag: string, summary: string, helpValue: string) =>
  Flags.string({ summary, helpValue, env: envOf(flag), multiple: true, multipleNonGreedy: true });

const narrowing = (label: string) =>
  Flags.string({
    summary: `Only clusters whose ${label} is one of these.`,
    helpValue: "NAME",
    env: envOf(label),
    multiple: true,
    multipleNonGreedy: true,
    helpGroup: "SELECTOR",
  });

/** Which clusters a command is about. All that are given must hold. */
export const selectorFlags = {
  selector: Flags.string({
    char: "l",
    summary:
      "Only clusters whose labels match, as in Kubernetes: key=value,key!=value,key in (a,b),key,!key.",
    helpValue: "SELECTOR",
    env: envOf("selector"),
    multiple: true,
    multipleNonGreedy: true,
    helpGroup: "SELECTOR",
  }),
  region: narrowing("region"),
  environment: narrowing("environment"),
  team: narrowing("team"),
  tribe: narrowing("tribe"),
  project: narrowing("project"),
  cluster: narrowing("cluster"),
};

const labelFlags = ["region", "environment", "team", "tribe", "project", "cluster"] as const;

type SelectorValues = { readonly [K in keyof typeof selectorFlags]?: readonly string[] | undefined };

/** The selector that the flags mean. Throws a failure that points into the text when it cannot be read. */
export function selectorFrom(flags: SelectorValues): Selector {
  const requirements: Requirement[] = [];
  for (const part of asList(flags.selector)) {
    const parsed = parseSelector(part);
    if (!parsed.ok) {
      const where = `  ${part.slice(0, 200)}\n  ${" ".repeat(Math.min(parsed.position, 200))}^`;
      throw misused(
        `The selector cannot be read at character ${parsed.position + 1}: ${parsed.message}\n${where}`,
        "-l 'region=eu,team!=payments,environment in (prod,stage),!canary'",
      );
    }
    requirements.push(...parsed.requirements);
  }
  for (const label of labelFlags) {
    const values = valuesOf(flags[label]);
    if (flags[label] !== undefined && values.length === 0) {
      throw misused(`--${label} names nothing`, `--${label} NAME, or leave --${label} away for all`);
    }
    for (const value of values) {
      if (!/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(value)) {
        throw misused(
          `--${label} "${value.slice(0, 80)}" is not a label value`,
          "Use letters, digits, -, _ and . only.",
        );
      }
    }
    if (values.length > 0) requirements.push(requirementIn(label, values));
  }
  return selectorOf(requirements);
}

/** For commands that act on many clusters: see `chosenFrom()`. */
export const allFlag = Flags.boolean({
  summary: "Every cluster of the fleet; without it a selector is needed.",
  env: envOf("all"),
});

/** An empty selector means every cluster, which nobody may mean by forgetting a flag. */
export function chosenFrom(flags: SelectorValues & { readonly all: boolean }): Selector {
  const selector = selectorFrom(flags);
  const isEverything = selector.requirements.length === 0;
  if (isEverything && !flags.all) {
    throw misused(
      "Which clusters? Nothing says so",
      "--region eu, or -l team=payments   for some of them",
      "--all   for every cluster of the fleet",
    );
  }
  if (!isEverything && flags.all) throw misused("--all means every cluster, but a selector is given, too");
  return selector;
}

/** The clusters that a credential reaches. */
export const scopeFlag = Flags.string({
  summary: "Only clusters whose labels match, written as for -l; the whole fleet if not given.",
  helpValue: "SELECTOR",
  env: envOf("scope"),
});

/** The scope that the flag means. An empty text is refused: a variable that is not set must not mean everything. */
export function scopeFrom(scope: string | undefined): Selector {
  if (scope?.trim() === "") throw misused("--scope is empty", "--scope team=payments, or leave it away");
  return selectorFrom(scope === undefined ? {} : { selector: [scope] });
}

/** The values of a flag that may be repeated: commas separate too, and the environment gives one text. */
export function valuesOf(values: readonly string[] | undefined): string[] {
  return asList(values).flatMap((value) =>
    value
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  );
}

/** oclif gives a repeatable flag's value from the environment as a bare string, whatever its types say. */
export function asList(values: readonly string[] | undefined): readonly string[] {
  return typeof values === "string" ? [values] : (values ?? []);
}

/** A flag that takes a duration and gives whole seconds. */
export const durationFlag = (flag: string, summary: string) =>
  Flags.custom<number>({
    summary,
    helpValue: "DURATION",
    env: envOf(flag),
    parse: async (input) => {
      const seconds = parseDuration(input);
      if (seconds === undefined) {
        throw misused(`--${flag} "${input}" is not a duration`, `--${flag} 90s, 10m, 1h30m or 7d`);
      }
      return seconds;
    },
  })();

/** A flag that takes a whole number within bounds. */
export const countFlag = (flag: string, summary: string, min: number, max: number) =>
  Flags.custom<number>({
    summary,
    helpValue: "N",
    env: envOf(flag),
    parse: async (input) => {
      const value = /^\d{1,9}$/.test(input) ? Number(input) : Number.NaN;
      if (!(value >= min && value <= max)) {
        throw misused(
          `--${flag} "${input}" is not a whole number from ${min} to ${max}`,
          `--${flag} ${Math.max(min, 1)}`,
        );
      }
      return value;
    },
  })();

/** Labels as `key=value`. Throws a failure for one that is none or for a key given twice. */
export function labelsFrom(values: readonly string[] | undefined, flag: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const value of valuesOf(values)) {
    const match = /^([A-Za-z0-9](?:[-A-Za-z0-9_./]{0,251}[A-Za-z0-9])?)=([-A-Za-z0-9_.]{0,63})$/.exec(value);
    const [, key, content] = match ?? [];
    if (key === undefined || content === undefined) {
      throw misused(`${flag} "${value.slice(0, 80)}" is not a label`, `${flag} team=payments`);
    }
    if (Object.hasOwn(labels, key)) throw misused(`${flag} names "${key}" twice`);
    labels[key] = content;
  }
  return labels;
}

/** Guards a change against somebody else's: without it the command acts on what it has just read. */
export const generationFlag = countFlag(
  "generation",
  "Refuse when the rollout is no longer at this generation.",
  0,
  999_999_999,
);

/** An argument that has to be there. Never read from standard input, as oclif would do. */
export const requiredArg = (description: string) =>
  Args.string({ required: true, description, ignoreStdin: true });

export const optionalArg = (description: string) =>
  Args.string({ required: false, description, ignoreStdin: true });
