import { readClassic } from "./classic.ts";
import type { InputConfig, OutputConfig, PipelineConfig } from "./config.ts";
import type { FilterConfig } from "./filter-config.ts";
import { compileMatch } from "./match.ts";
import { Options } from "./options.ts";
import { clusterFacts } from "./plugins/cluster-facts.ts";
import type { Plugin } from "./plugins/common.ts";
import { file } from "./plugins/file.ts";
import { grep } from "./plugins/grep.ts";
import { http } from "./plugins/http.ts";
import { detect, discard, fleet } from "./plugins/local.ts";
import { mask } from "./plugins/mask.ts";
import { modify } from "./plugins/modify.ts";
import { nest } from "./plugins/nest.ts";
import { recordModifier } from "./plugins/record-modifier.ts";
import { readService } from "./plugins/service.ts";
import { stdout } from "./plugins/stdout.ts";
import { tail } from "./plugins/tail.ts";
import { throttle } from "./plugins/throttle.ts";
import { typeConverter } from "./plugins/type-converter.ts";
import { problemAt } from "./problem.ts";
import type { Place, Problem } from "./problem.ts";
import { lastValue, limits } from "./section.ts";
import type { ConfigFile, Section, SectionKind, Sections } from "./section.ts";
import { expand } from "./variables.ts";
import type { Scope, Variables } from "./variables.ts";
import { readYaml } from "./yaml.ts";

export type ParsedConfig =
  | { readonly ok: true; readonly config: PipelineConfig; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

const plugins = {
  input: [tail] as readonly Plugin<InputConfig>[],
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
  output: [http, file, stdout, discard, detect, fleet] as readonly Plugin<OutputConfig>[],
} as const;

/**
 * Reads the files of a shipper bundle, in their order, in either of Fluent Bit's formats, and checks everything that can
 * be checked without the machine: a config that passes needs no further defaults and holds no `${VAR}`. All problems are
 * found at once. A plugin in a later file with the alias of an earlier one replaces it, so that a layer can override.
 */
export function parseShipperConfig(files: readonly ConfigFile[], variables: Variables): ParsedConfig {
  const read = readFiles(files);
  const problems = [...read.problems];
  const scope = readEnv(read.sections, variables, problems);
  const warnings: Problem[] = [];
  const of = (kind: SectionKind) => read.sections.filter((section) => section.kind === kind);

  const service = readService(of("service"), scope);
  problems.push(...service.options.problems);
  const parsers = readParsers(of("parser"), scope, problems);
  for (const input of of("input")) checkParser(input, parsers, problems);
  const config: PipelineConfig = {
    service: service.config,
    inputs: readPlugins("input", plugins.input, of("input"), scope, problems, warnings),
    filters: readPlugins("filter", plugins.filter, of("filter"), scope, problems, warnings),
    outputs: readPlugins("output", plugins.output, of("output"), scope, problems, warnings),
  };
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, config, warnings: [...warnings, ...routeWarnings(config)] };
}

function readFiles(files: readonly ConfigFile[]): Sections {
  const [first] = files;
  const at = { file: first?.name ?? "(bundle)", line: 1, column: 1 };
  if (first === undefined) {
    return { sections: [], problems: [problemAt(at, "The bundle holds no config file")] };
  }
  if (files.length > limits.files) {
    return { sections: [], problems: [problemAt(at, `${files.length} files are more than ${limits.files}`)] };
  }
  const all = files.map(readFile);
  const sections = all.flatMap((one) => one.sections);
  const problems = all.flatMap((one) => one.problems);
  const long = sections.find((section) => section.entries.length > limits.entriesPerSection);
  if (long !== undefined) problems.push(problemAt(long, `More than ${limits.entriesPerSection} options`));
  if (sections.length > limits.sections) {
    problems.push(problemAt(at, `More than ${limits.sections} sections`));
  }
  return problems.length > 0 ? { sections: [], problems } : { sections, problems };
}

function readFile(source: ConfigFile): Sections {
  if (source.content.length > limits.fileBytes) {
    const message = `The file is longer than ${limits.fileBytes} characters`;
    return { sections: [], problems: [{ file: source.name, line: 1, column: 1, message }] };
  }
  const content = source.content.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  const isYaml =
    /\.ya?ml$/i.test(source.name) || (!/\.conf$/i.test(source.name) && !/^\s*[[@]/m.test(content));
  return isYaml ? readYaml({ ...source, content }) : readClassic({ ...source, content });
}

function readEnv(sections: readonly Section[], facts: Variables, problems: Problem[]): Scope {
  const env = new Map<string, string>();
  const scope: Scope = { facts, env };
  for (const section of sections) {
    if (section.kind !== "env") continue;
    for (const entry of section.entries) {
      const value = expand(entry.value, scope);
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

/** The names of the JSON parsers. `json` is there without being listed, as in the parsers file Fluent Bit ships. */
function readParsers(sections: readonly Section[], scope: Scope, problems: Problem[]): ReadonlySet<string> {
  const names = new Set(["json"]);
  for (const section of sections) {
    const options = new Options(section, scope);
    options.allowOnly("a parser", parserOptions);
    const name = options.required("name", '"name json"');
    if (options.text("format", "").toLowerCase() !== "json") {
      const place = options.entry("format") ?? section;
      options.refuse(place, `Parser "${name}" has a format that is not supported. Supported formats: json`);
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
  problems: Problem[],
  warnings: Problem[],
): readonly Config[] {
  const configs = new Map<string, Config>();
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
      problems.push(problemAt(written ?? section, `${what} Supported ${kind}s: ${names.join(", ")}`));
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
    problems.push(...options.problems);
    warnings.push(...options.warnings);
  }
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
