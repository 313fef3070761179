import type { PipelineConfig } from "./config.ts";
import { otherDefault } from "./fluent-bit-defaults.ts";
import { compileMatch } from "./match.ts";
import { readConfig } from "./parse.ts";
import type { ReadSection } from "./parse.ts";
import { problemAt } from "./problem.ts";
import type { Problem } from "./problem.ts";
import type { ConfigFile, Entry } from "./section.ts";
import type { Variables } from "./variables.ts";

/** What a config cannot say, because only the machine knows it. */
export interface FluentBitPlace {
  /** Of Fluent Bit's own HTTP server. */
  readonly host: string;
  readonly port: number;
  /** A folder of its positions and chunks. */
  readonly dataDir: string;
  readonly parsersFile: string;
  /** Where the records of `detect` go; undefined: nowhere. */
  readonly records: { readonly host: string; readonly port: number; readonly uri: string } | undefined;
  /** Names an output that takes nothing: that it is there shows that this config was loaded. */
  readonly marker: string;
}

export type FluentBitConfig =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problems: readonly Problem[] };

type Line = readonly [key: string, value: string];

const plugins: Readonly<Record<string, readonly string[]>> = {
  input: ["tail"],
  filter: ["modify", "record_modifier", "grep", "nest", "throttle", "type_converter"],
  output: ["http", "es", "opensearch", "loki", "forward", "kafka", "file", "stdout", "null"],
};
/** Options that Fluent Bit does not have, by plugin; and those by which a secret is read from a file. */
const ours: Readonly<Record<string, readonly string[]>> = {
  throttle: ["time_key"],
  file: ["sync", "rotate_size", "rotate_interval", "rotate_keep", "rotate_compress"],
};
const secretFile = /^(?!tls\.(?:ca|crt|key)_file$).*_file$|^bearer_token$/;
/** A limit makes Fluent Bit drop what is oldest, so that one that nobody wrote is left out. */
const unwritten: ReadonlySet<string> = new Set(["storage.total_limit_size", "storage.overflow"]);
const serviceKeys: ReadonlySet<string> = new Set(["flush", "grace", "scheduler.base", "scheduler.cap"]);

/** What Fluent Bit's parsers file holds: the ones that are built in here. */
export const fluentBitParsers: string = "[PARSER]\n  Name json\n  Format json\n";

/**
 * A config as Fluent Bit runs it, in its classic format: variables filled in, what differs by default written out, and only
 * options that were checked here. What Fluent Bit has not is refused with its place.
 */
export function toFluentBit(
  files: readonly ConfigFile[],
  variables: Variables,
  place: FluentBitPlace,
): FluentBitConfig {
  const { parsed, sections } = readConfig(files, variables);
  if (!parsed.ok) return parsed;
  const writer = new Writer(place);
  for (const section of sections) writer.section(section);
  const problems = [...writer.problems, ...deadOutputs(parsed.config)];
  return problems.length > 0 ? { ok: false, problems } : { ok: true, text: writer.text() };
}

class Writer {
  readonly problems: Problem[] = [];
  readonly #place: FluentBitPlace;
  readonly #sections: string[] = [];

  constructor(place: FluentBitPlace) {
    this.#place = place;
  }

  text(): string {
    const { marker } = this.#place;
    const proof: readonly Line[] = [
      ["Name", "null"],
      ["Alias", marker],
      ["Match", `${marker}.nothing`],
    ];
    return [...this.#sections, block("OUTPUT", proof)].join("\n");
  }

  section(section: ReadSection): void {
    const { kind, name, alias, options } = section;
    if (kind === "service") return this.#service(section);
    if (name === "fleet") return;
    if (name === "detect") return this.#detect(section);
    if (plugins[kind]?.includes(name) !== true) {
      const why =
        name === "http" ? "its paths, tokens and spools are the agent's" : "it has none of that name";
      return this.#refuse(
        options.entry("name"),
        section,
        `${kind} "${name}" cannot run in Fluent Bit: ${why}`,
      );
    }
    const written = options.section.entries.filter(
      ({ key }) => !["name", "alias"].includes(key) && options.table[key] === "used",
    );
    const lines = written.flatMap((entry) => this.#line(section, entry));
    const own = kind === "input" ? this.#tail(alias) : [];
    const head: readonly Line[] = [
      ["Name", name],
      ["Alias", alias],
    ];
    this.#sections.push(block(kind.toUpperCase(), [...head, ...lines, ...defaultsOf(section), ...own]));
  }

  #line(section: ReadSection, entry: Entry): readonly Line[] {
    const { name, options } = section;
    const { key } = entry;
    if (secretFile.test(key) || ours[name]?.includes(key) === true) {
      this.#refuse(
        entry,
        section,
        `Option "${key}" of "${name}" is the agent's: Fluent Bit has none of that name`,
      );
      return [];
    }
    const value = options.expand(entry.value, entry).text;
    if (key === "storage.overflow") return [];
    if (key === "storage.total_limit_size" && options.text("storage.overflow") !== "drop_oldest") {
      const next = 'write "storage.overflow drop_oldest" beside it, or leave the limit out';
      this.#refuse(entry, section, `With "${key}" Fluent Bit drops the oldest records: ${next}`);
    }
    if (key === "parser" && !["json", "docker", "cri", "none"].includes(value)) {
      this.#refuse(entry, section, `Parser "${value}" is the agent's: Fluent Bit has none of that name`);
    }
    if (value.includes("${") || gapsIn(value) !== gapsIn(entry.value)) {
      const why = "with a fact filled in it holds a blank, a quote or another variable";
      this.#refuse(entry, section, `The value of "${key}" cannot be written for Fluent Bit: ${why}`);
    }
    if (key === "parser" && value !== "json") return value === "none" ? [] : [["multiline.parser", value]];
    // A statement of the agent replaces what the record says.
    const isFact = name === "modify" && key === "add" && /^"?x_/.test(value) && entry.value.includes("${");
    return [[isFact ? "set" : key, value]];
  }

  #tail(alias: string): readonly Line[] {
    return [
      ["db", `${this.#place.dataDir}/${alias}.db`],
      ["storage.type", "filesystem"],
      ["skip_long_lines", "on"],
    ];
  }

  #detect({ alias, options }: ReadSection): void {
    const { records } = this.#place;
    if (records === undefined) return;
    const regex = options.text("match_regex");
    const lines: readonly Line[] = [
      ["Name", "http"],
      ["Alias", alias],
      regex === undefined ? ["Match", options.text("match", "*")] : ["Match_Regex", regex],
      ["host", records.host],
      ["port", String(records.port)],
      ["uri", records.uri],
      ["format", "json"],
      ["json_date_key", "false"],
      ["retry_limit", "no_limits"],
    ];
    this.#sections.push(block("OUTPUT", lines));
  }

  #service(section: ReadSection): void {
    const { options } = section;
    const ring = options.entry("backtest_ring");
    if (ring !== undefined && options.boolean("backtest_ring", false)) {
      this.#refuse(
        ring,
        section,
        'Option "backtest_ring" is the agent\'s: Fluent Bit keeps no events for backtests',
      );
    }
    const { host, port, dataDir, parsersFile } = this.#place;
    const written = options.section.entries.flatMap((entry): readonly Line[] =>
      serviceKeys.has(entry.key) ? this.#line(section, entry) : [],
    );
    const assumed = defaultsOf(section).filter(([key]) => serviceKeys.has(key));
    this.#sections.push(
      block("SERVICE", [
        ...assumed,
        ...written,
        ["parsers_file", parsersFile],
        ["http_server", "on"],
        ["http_listen", host],
        ["http_port", String(port)],
        ["hot_reload", "on"],
        ["storage.path", `${dataDir}/chunks`],
        ["storage.metrics", "on"],
      ]),
    );
  }

  #refuse(entry: Entry | undefined, { options }: ReadSection, message: string): void {
    this.problems.push(problemAt(entry ?? options.section, message));
  }
}

/** Blanks and quotes, by which Fluent Bit takes a value apart: what is filled in may bring none. */
function gapsIn(text: string): string {
  return text.replaceAll(/[^\s"']+/g, "_");
}

/** Options that nobody wrote and that mean something else to Fluent Bit. */
function defaultsOf({ kind, name, options }: ReadSection): readonly Line[] {
  return [...options.defaults].flatMap(([key, value]): readonly Line[] => {
    if (unwritten.has(key) || value === "" || otherDefault(kind, name, key, value) === undefined) return [];
    return [[key, value.replace(/^(\d+(?:\.\d+)?)s$/, "$1")]];
  });
}

/** Outputs that would wait for alerts in vain: alerts of Falco come to the agent, not to Fluent Bit. */
function deadOutputs({ inputs, outputs }: PipelineConfig): readonly Problem[] {
  return outputs.flatMap((output) => {
    if (output.plugin === "detect" || output.plugin === "fleet") return [];
    const takes = compileMatch(output.match);
    if (inputs.some(({ tag }) => tag.includes("*") || takes(tag))) return [];
    const what = `Output "${output.alias}" takes no records of an input`;
    return [problemAt(output.at, `${what}: alerts come to the agent and not to Fluent Bit. Leave it out`)];
  });
}

function block(kind: string, lines: readonly Line[]): string {
  return `[${kind}]\n${lines.map(([key, value]) => `    ${key} ${value}\n`).join("")}`;
}
