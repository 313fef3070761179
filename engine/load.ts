import type { AppendOutput } from "./append-output.ts";
import { Collector } from "./collector.ts";
import type { PluginRequirement } from "./definitions.ts";
import type { Compat } from "./fields/field.ts";
import { errorFinding, type FileResult, type Finding, LoadProblem, warningFinding } from "./findings.ts";
import { readRules } from "./reader.ts";
import { type ExpandedRule, RuleCompiler } from "./rule-compiler.ts";
import { emptyRuleSet, parsePriority, priorities, type RuleSet } from "./ruleset.ts";
import { checkSchema, type SchemaResult } from "./schema.ts";
import { isCompatible } from "./semver.ts";
import { SourceText } from "./source-text.ts";
import type { StaticFields } from "./static-fields.ts";
import { switchRules, type RuleSwitch } from "./switches.ts";
import { builtInPlugins } from "./version.ts";
import { parseYaml } from "./yaml.ts";

/** A rules file by name and content. */
export interface RulesFile {
  readonly name: string;
  readonly content: string;
}

export interface LoadOptions {
  /** `strict` repeats Falco's known mistakes; `fixed`, the default, repairs or refuses them. */
  readonly compat?: Compat;
  /** Rules less urgent than this load, but are never enabled. */
  readonly minimumPriority?: string;
  /** Enables and disables rules after all files, in this order. */
  readonly switches?: readonly RuleSwitch[];
  /** Text and fields added to the outputs of rules, in this order. */
  readonly appendOutput?: readonly AppendOutput[];
  /** Texts that rules may read as `static.NAME`. */
  readonly staticFields?: StaticFields;
  /**
   * So many files from the start are known to load in this order with these options: they are read, and not compiled by
   * themselves again. At least one file is left.
   */
  readonly provenFiles?: number;
}

/** The outcome of loading rules files together. */
export interface LoadReport {
  readonly ok: boolean;
  /** Without any rule unless `ok`. */
  readonly ruleset: RuleSet;
  /** One for each file, in their order. */
  readonly results: readonly FileResult[];
}

/** Reads and compiles rules files in their order, as Falco does: after each file, all that came before is compiled again. */
export function loadRules(files: readonly RulesFile[], options: LoadOptions = {}): LoadReport {
  const compat = options.compat ?? "fixed";
  const collector = new Collector(compat);
  let expanded: readonly ExpandedRule[] = [];
  const results = files.map((file, index): FileResult => {
    const source = new SourceText(file.name, file.content);
    const warnings: Finding[] = [];
    const errors: Finding[] = [];
    let schema: SchemaResult = { valid: "none", warnings: [] };
    const warn = (...[code, message, context, extras]: Parameters<typeof warningFinding>): void => {
      warnings.push(warningFinding(code, message, context, extras));
    };
    const plugins = collector.plugins.length;
    try {
      const documents = parseYaml(source, compat === "strict");
      schema = checkSchema(documents);
      readRules(documents, source, collector, warn);
      if (index >= (options.provenFiles ?? 0)) {
        expanded = new RuleCompiler(collector, compat, warn, options).compile();
      }
    } catch (error) {
      if (!(error instanceof LoadProblem)) throw error;
      errors.push(errorFinding(error));
    }
    // Falco asks for plugins last, but gives up over a missing one whatever else is wrong.
    const unmet = pluginProblem(collector.plugins.slice(plugins));
    if (unmet !== undefined) errors.unshift(errorFinding(unmet));
    return {
      name: file.name,
      successful: errors.length === 0,
      schema_valid: schema.valid,
      schema_warnings: schema.warnings,
      errors,
      warnings,
      notes: collector.takeNotes().map(({ message, context }) => ({ message, shown: context.shown() })),
    };
  });
  const ok = results.every(({ successful }) => successful);
  if (!ok) return { ok, ruleset: emptyRuleSet, results };
  return { ok, ruleset: finish(expanded, collector, options), results };
}

function finish(expanded: readonly ExpandedRule[], collector: Collector, options: LoadOptions): RuleSet {
  const minimum = parsePriority(options.minimumPriority ?? "debug") ?? "Debug";
  const isEnabled = switchRules(
    expanded.map(({ info }) => info),
    options.switches ?? [],
  );
  const enabled = (name: string, rule: ExpandedRule): boolean =>
    isEnabled(name) && priorities.indexOf(rule.info.priority) <= priorities.indexOf(minimum);
  return {
    rules: expanded.map((rule) => ({ ...rule.info, enabled: enabled(rule.info.name, rule) })),
    compiled: expanded.map((rule) => ({ ...rule.compiled, enabled: enabled(rule.info.name, rule) })),
    macroCount: collector.macros.size,
    listCount: collector.lists.size,
    ...(options.staticFields === undefined ? {} : { statics: options.staticFields }),
  };
}

/** The first requirement of plugins that what is built in does not meet. */
function pluginProblem(requirements: readonly PluginRequirement[]): LoadProblem | undefined {
  for (const { name, version, alternatives, context } of requirements) {
    const wanted = [{ name, version }, ...alternatives];
    const known = wanted.find((one) => builtInPlugins.has(one.name));
    const have = known === undefined ? undefined : builtInPlugins.get(known.name);
    if (known !== undefined && have !== undefined && isCompatible(have, known.version)) continue;
    const message =
      known === undefined
        ? `Plugin requirement not satisfied, must load one of: ${wanted.map((one) => `${one.name} (>= ${one.version})`).join(", ")}`
        : `Plugin '${known.name}' version '${have}' is not compatible with required plugin version '${known.version}'`;
    return new LoadProblem("LOAD_ERR_VALIDATE", message, context);
  }
  return undefined;
}
