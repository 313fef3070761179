import type { InputConfig, OutputConfig, PipelineConfig } from "./config.ts";
import type { FilterConfig } from "./filter-config.ts";
import { compileMatch } from "./match.ts";
import { Options } from "./options.ts";
import { clusterFacts } from "./plugins/cluster-facts.ts";
import type { Plugin } from "./plugins/common.ts";
import { es, opensearch } from "./plugins/es.ts";
import { file } from "./plugins/file.ts";
import { forward } from "./plugins/forward.ts";
import { grep } from "./plugins/grep.ts";
import { httpInput } from "./plugins/http-input.ts";
import { http } from "./plugins/http.ts";
import { kafka } from "./plugins/kafka.ts";
import { builtInParsers } from "./plugins/line-format.ts";
import { detect, discard, fleet } from "./plugins/local.ts";
import { loki } from "./plugins/loki.ts";
import { mask } from "./plugins/mask.ts";
import { modify } from "./plugins/modify.ts";
import { nest } from "./plugins/nest.ts";
import { recordModifier } from "./plugins/record-modifier.ts";
import { dummy, stdin } from "./plugins/run-inputs.ts";
import { readService } from "./plugins/service.ts";
import { stdout } from "./plugins/stdout.ts";
import { tail } from "./plugins/tail.ts";
import { throttle } from "./plugins/throttle.ts";
import { typeConverter } from "./plugins/type-converter.ts";
import { problemAt } from "./problem.ts";
import type { Place, Problem } from "./problem.ts";
import { readFiles } from "./read-files.ts";
import { lastValue } from "./section.ts";
import type { ConfigFile, Entry, Section, SectionKind } from "./section.ts";
import { insteadOfFilter } from "./unsupported.ts";
import { expand, tooLong } from "./variables.ts";
import type { Scope, Variables } from "./variables.ts";

export type ParsedConfig =
  | { readonly ok: true; readonly config: PipelineConfig; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

const plugins = {
  input: [tail, httpInput, stdin, dummy] as readonly Plugin<InputConfig>[],
  filter: [
    modify,
    recordModifier,
    grep,
    nest,
    throttle,
    typeConverter,
    clusterFacts,
    mask,
  ] as readonly Plugin<FilterConfig>[],
  output: [
    http,
    es,
    opensearch,
    loki,
    forward,
    kafka,
    file,
    stdout,
    discard,
    detect,
    fleet,
  ] as readonly Plugin<OutputConfig>[],
} as const;

const problemsMax = 200;

/**
 * Reads the files of a shipper bundle, in their order, in either of Fluent Bit's formats, and checks everything that can
 * be checked without the machine: a config that passes needs no further defaults and holds no `${VAR}`. All problems are
 * found at once. A plugin in a later file with the alias of an earlier one replaces it, so that a layer can override.
 */
export function parseShipperConfig(files: readonly ConfigFile[], variables: Variables): ParsedConfig {
  return readConfig(files, variables).parsed;
}

/** A plugin's section, or all service sections together, after it was read: it knows what came of its options. */
export interface ReadSection {
  readonly kind: "service" | "input" | "filter" | "output";
  readonly name: string;
  readonly alias: string;
  readonly options: Options;
}

export interface Reading {
  readonly parsed: ParsedConfig;
  /** What is in force: a section that a later one replaced is not here. */
  readonly sections: readonly ReadSection[];
  /** The variables that the config sets itself, as they are written. */
  readonly env: readonly Entry[];
}

/** Parses a config and keeps what it was made of. */
export function readConfig(files: readonly ConfigFile[], variables: Variables): Reading {
  const read = readFiles(files);
  const problems = [...read.problems];
  const scope = readEnv(read.sections, variables, problems);
  const warnings: Problem[] = [];
  const of = (kind: SectionKind) => read.sections.filter((section) => section.kind === kind);

  const service = readService(of("service"), scope);
  problems.push(...service.options.problems);
  const parsers = readParsers(of("parser"), scope, problems);
  for (const input of of("input")) checkParser(input, parsers, problems);
  const into: Into = { problems, warnings, sections: [] };
  const config: PipelineConfig = {
    service: service.config,
    inputs: readPlugins("input", plugins.input, of("input"), scope, into),
    filters: readPlugins("filter", plugins.filter, of("filter"), scope, into),
    outputs: readPlugins("output", plugins.output, of("output"), scope, into),
  };
  const sections = [
    { kind: "service", name: "service", alias: "service", options: service.options } as const,
    ...into.sections,
  ];
  const env = of("env").flatMap(({ entries }) => entries);
  if (problems.length > 0) return { parsed: { ok: false, problems: shortened(problems) }, sections, env };
  return { parsed: { ok: true, config, warnings: [...warnings, ...routeWarnings(config)] }, sections, env };
}

interface Into {
  readonly problems: Problem[];
  readonly warnings: Problem[];
  readonly sections: ReadSection[];
}

/** As many problems as somebody reads. */
function shortened(problems: readonly Problem[]): readonly Problem[] {
  const next = problems[problemsMax];
  if (next === undefined) return problems;
  const more = `And ${problems.length - problemsMax} more problems from here on`;
  return [...problems.slice(0, problemsMax), problemAt(next, more)];
}

function readEnv(sections: readonly Section[], facts: Variables, problems: Problem[]): Scope {
  const env = new Map<string, string>();
  const scope: Scope = { facts, env };
  for (const section of sections) {
    if (section.kind !== "env") continue;
    for (const entry of section.entries) {
      const value = expand(entry.value, scope);
      if (value.isTooLong) problems.push(problemAt(entry, tooLong));
      for (const name of value.unset) problems.push(problemAt(entry, `Variable \${${name}} is not set`));
      env.set(entry.key, value.text);
    }
  }
  return scope;
}

const parserOptions = {
  name: "used",
  format: "used",
  time_key: { ignored: "the record keeps its time" },
  time_format: { ignored: "the record keeps its time" },
  time_keep: { ignored: "the record keeps its time" },
} as const;

/** The names of parsers. The built-in ones are there without being listed, as in the parsers file Fluent Bit ships. */
function readParsers(sections: readonly Section[], scope: Scope, problems: Problem[]): ReadonlySet<string> {
  const names = new Set(builtInParsers);
  for (const section of sections) {
    const options = new Options(section, scope);
    options.allowOnly("a parser", parserOptions);
    const name = options.required("name", '"name json"');
    if (options.text("format", "").toLowerCase() !== "json") {
      const place = options.entry("format") ?? section;
      const hint = builtInParsers.includes(name)
        ? `"${name}" is built in: leave this section out`
        : `Built in are ${builtInParsers.join(", ")}`;
      const what = `Parser "${name}" has a format that is not supported. Supported formats: json. ${hint}`;
      options.refuse(place, what);
    }
    names.add(name);
    problems.push(...options.problems);
  }
  return names;
}

function checkParser(input: Section, parsers: ReadonlySet<string>, problems: Problem[]): void {
  const parser = lastValue(input, "parser");
  if (parser === undefined || parsers.has(parser.value)) return;
  const known = [...parsers].join(", ");
  problems.push(problemAt(parser, `Parser "${parser.value}" is not defined. Defined parsers: ${known}`));
}

function readPlugins<Config extends { readonly alias: string; readonly at: Place }>(
  kind: "input" | "filter" | "output",
  supported: readonly Plugin<Config>[],
  sections: readonly Section[],
  scope: Scope,
  { problems, warnings, sections: read }: Into,
): readonly Config[] {
  const configs = new Map<string, Config>();
  const current = new Map<string, ReadSection>();
  for (const [index, section] of sections.entries()) {
    const written = lastValue(section, "name");
    const name = written?.value.toLowerCase() ?? "";
    const plugin = supported.find((one) => one.name === name);
    if (plugin === undefined) {
      const names = supported.map((one) => one.name).sort();
      const what =
        written === undefined
          ? `This ${kind} has no "name".`
          : `${capital(kind)} plugin "${name}" is not supported yet.`;
      const instead = kind === "filter" ? (insteadOfFilter(name) ?? "") : "";
      const supportedNames = `Supported ${kind}s: ${names.join(", ")}`;
      problems.push(problemAt(written ?? section, `${what}${instead} ${supportedNames}`));
      continue;
    }
    const options = new Options(section, scope);
    options.allowOnly(`${kind} "${name}"`, plugin.options);
    const alias = readAlias(options, `${name}.${index}`);
    const config = plugin.read(options, alias);
    if (configs.get(alias)?.at.file === section.file) {
      options.refuse(section, `Alias "${alias}" is there twice: give each ${kind} its own`);
    }
    configs.set(alias, config);
    current.set(alias, { kind, name, alias, options });
    problems.push(...options.problems);
    warnings.push(...options.warnings);
  }
  read.push(...current.values());
  return [...configs.values()];
}

function readAlias(options: Options, otherwise: string): string {
  const alias = options.text("alias", otherwise);
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(alias)) return alias;
  const place = options.entry("alias") ?? options.section;
  options.refuse(place, `"alias" is "${alias}" and has to be letters, digits, dots, dashes and underscores`);
  return otherwise;
}

/** What is legal but moves nothing: an input that nobody takes, an output that nobody feeds. */
function routeWarnings(config: PipelineConfig): Problem[] {
  const warnings: Problem[] = [];
  const outputs = config.outputs.map((output) => ({ output, takes: compileMatch(output.match) }));
  for (const input of config.inputs) {
    if (input.tag.includes("*") || outputs.some(({ takes }) => takes(input.tag))) continue;
    warnings.push(
      problemAt(input.at, `No output takes tag "${input.tag}": its records are read and dropped`),
    );
  }
  const alertTags = config.outputs.flatMap((o) => (o.plugin === "detect" ? [o.alertTag] : []));
  for (const { output, takes } of outputs) {
    if (output.plugin !== "fleet" || alertTags.some(takes)) continue;
    warnings.push(
      problemAt(output.at, 'Output "fleet" carries only alerts, and no alert has a tag that it takes'),
    );
  }
  for (const filter of config.filters) {
    if (filter.plugin !== "grep" && filter.plugin !== "throttle") continue;
    const tag = alertTags.find(compileMatch(filter.match));
    if (tag === undefined) continue;
    const why = `takes tag "${tag}", too: alerts that it drops reach nobody`;
    warnings.push(problemAt(filter.at, `Filter "${filter.plugin}" ${why}. Give it a narrower match`));
  }
  return warnings;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
