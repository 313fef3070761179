import { otherDefault } from "./fluent-bit-defaults.ts";
import type { Options } from "./options.ts";
import type { ReadSection } from "./parse.ts";
import { placeOf } from "./problem.ts";
import type { Place, Problem } from "./problem.ts";
import { redacted } from "./redact.ts";
import { lastValue } from "./section.ts";
import type { ConfigFile, Entry } from "./section.ts";
import { readWithStandIns } from "./stand-ins.ts";
import { expand } from "./variables.ts";
import type { Scope, Variables } from "./variables.ts";

/** One option as it is in force. */
export interface Setting {
  readonly key: string;
  /** With its variables filled in, as far as they are known; `[redacted]` when it is a secret. */
  readonly value: string;
  /** Where it is written; undefined for a default. */
  readonly at: Place | undefined;
  /** What Fluent Bit would do without the option, where that is something else. */
  readonly fluentBit: string | undefined;
  /** What a reader would not expect: that it changes nothing, or something else than in Fluent Bit. */
  readonly note: string | undefined;
  /** Of rules of different kinds that apply one after another, the how manieth this is. */
  readonly order: number | undefined;
}

export interface ExplainedSection {
  readonly kind: ReadSection["kind"];
  readonly name: string;
  readonly alias: string;
  /** In the order in which they are written, defaults last. */
  readonly settings: readonly Setting[];
}

export type ExplainedConfig =
  | {
      readonly ok: true;
      readonly sections: readonly ExplainedSection[];
      readonly warnings: readonly Problem[];
    }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * The config that is in force when all files are read: includes at their places, overrides applied, defaults filled in, and
 * each value with where it comes from. Variables that only agents know stay as they are written.
 */
export function explainShipperConfig(files: readonly ConfigFile[], given: Variables): ExplainedConfig {
  const { parsed, sections, env } = readWithStandIns(files, given);
  if (!parsed.ok) return parsed;
  const scope = { facts: given, env: ownVariables(env, given) };
  return { ok: true, sections: sections.map((one) => explain(one, scope)), warnings: parsed.warnings };
}

/** The config's own variables, where what only agents know is left as it is written. */
function ownVariables(entries: readonly Entry[], given: Variables): ReadonlyMap<string, string> {
  const env = new Map<string, string>();
  for (const { key, value } of entries) env.set(key, expand(value, { facts: given, env }).text);
  return env;
}

/** Filters whose rules apply in the order in which they are written, whatever their kind. */
const ordered: ReadonlySet<string> = new Set(["modify", "grep", "type_converter"]);

function isRule(key: string, { singles, table }: Options): boolean {
  return !singles.has(key) && table[key] === "used" && key !== "name" && key !== "condition";
}

function explain({ kind, name, alias, options }: ReadSection, scope: Scope): ExplainedSection {
  const { section, singles, defaults, table } = options;
  const written = section.entries.filter(
    (entry) => !singles.has(entry.key) || lastValue(section, entry.key) === entry,
  );
  const rules = ordered.has(name) ? written.filter(({ key }) => isRule(key, options)) : [];
  const isMixed = new Set(rules.map(({ key }) => key)).size > 1;
  const settings = written.map((entry): Setting => {
    const use = Object.hasOwn(table, entry.key) ? table[entry.key] : undefined;
    const ignored =
      typeof use === "object" && "ignored" in use ? `changes nothing: ${use.ignored}` : undefined;
    return {
      key: entry.key,
      value: redacted(name, entry.key, entry.value, (text) => expand(text, scope).text),
      at: placeOf(entry),
      fluentBit: undefined,
      note: ignored ?? statementNote(name, entry, scope),
      order: isMixed && rules.includes(entry) ? rules.indexOf(entry) + 1 : undefined,
    };
  });
  const assumed = [...defaults].map(([key, value]): Setting => ({
    key,
    value,
    at: undefined,
    fluentBit: otherDefault(kind, name, key, value),
    note: undefined,
    order: undefined,
  }));
  return { kind, name, alias, settings: [...settings, ...assumed.filter(({ value }) => value !== "")] };
}

/** Where the one rule of `modify` is at work that is not Fluent Bit's: see plugins/modify.ts. */
function statementNote(name: string, { key, value }: Entry, { env }: Scope): string | undefined {
  if (name !== "modify" || !key.startsWith("add") || !/^"?x_/.test(value)) return undefined;
  const variables = [...value.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g)].map(
    ([, variable = ""]) => variable,
  );
  const isFact = variables.some((variable) => !env.has(variable));
  return isFact ? "replaces what the record says (Fluent Bit: the record's own value stays)" : undefined;
}
