import { Lexer, isAlias, isMap, isScalar, isSeq, parseAllDocuments, type Document } from "yaml";
import { Context } from "./context.ts";
import { LoadProblem } from "./findings.ts";
import type { SourceText } from "./source-text.ts";

/** A rules file may be this large, nest this deep and hold this many nodes. */
export const rulesBytesMax: number = 4 * 1024 * 1024;
const depthMax = 32;
const nodesMax = 1_000_000;
const tokensMax = 2_000_000;
/** Dashes, colons and question marks on one line outside brackets; each may open a level. */
const indicatorsMax = 2 * depthMax;

export interface YamlScalar {
  readonly kind: "scalar";
  readonly text: string;
  readonly isNull: boolean;
  readonly at: number;
}

export interface YamlList {
  readonly kind: "list";
  readonly items: readonly YamlNode[];
  readonly at: number;
}

export interface YamlEntry {
  /** Undefined for a key that is no scalar. */
  readonly key: string | undefined;
  readonly at: number;
  readonly value: YamlNode;
}

export interface YamlMap {
  readonly kind: "map";
  readonly entries: readonly YamlEntry[];
  readonly at: number;
}

/** A node of a rules file. Scalars keep their text: `1.50` stays `1.50`. `at` is an offset into the file. */
export type YamlNode = YamlScalar | YamlList | YamlMap;

/** A problem in the words of Falco's YAML library, which counts lines and columns from 1. */
export function yamlWords(what: string, line: number, column: number): string {
  return `yaml-cpp: error at line ${line + 1}, column ${column + 1}: ${what}`;
}

/** Finds the value of a key; of a repeated key the first one. */
export function entryOf(map: YamlMap, key: string): YamlNode | undefined {
  return map.entries.find((entry) => entry.key === key)?.value;
}

/**
 * Reads all documents of a rules file. Throws {@link LoadProblem} for a text that is no YAML, is too large or
 * too deep, or uses aliases, which could make a small file expand without end.
 */
export function parseYaml(source: SourceText, allowRepeatedKeys: boolean): readonly YamlNode[] {
  const file = Context.file(source);
  if (source.text.length > rulesBytesMax) {
    throw new LoadProblem("LOAD_ERR_YAML_PARSE", `Rules file is larger than ${rulesBytesMax} bytes`, file);
  }
  refuseNesting(source, file);
  const documents = parseDocuments(source, file);
  for (const { errors } of documents) {
    const [first] = errors;
    if (first === undefined) continue;
    const place = file.child("rules content", "", first.pos[0]);
    throw new LoadProblem("LOAD_ERR_YAML_PARSE", firstLine(first.message), place);
  }
  const reader = new Reader(file, allowRepeatedKeys);
  return documents.map(({ contents }) => reader.node(contents, 0, 0));
}

const tooDeep = `Rules content nests deeper than ${depthMax}`;

/** The first line of the parser's message, without the place, which is reported apart. */
function firstLine(message: string): string {
  const [line = "invalid YAML"] = message.split("\n");
  // The parser recurses, so a text that nests without end runs out of stack before it can be measured.
  if (line.includes("call stack")) return tooDeep;
  return line.replace(/ at line \d+, column \d+:?$/, "");
}

/**
 * Looks at the tokens alone, before anything is built of them: the parser recurses and takes long over a text
 * that opens brackets without end, so that must be seen first. Bounded by the size of the file.
 */
function refuseNesting(source: SourceText, file: Context): void {
  let open = 0;
  let indicators = 0;
  let tokens = 0;
  let at = 0;
  for (const token of new Lexer().lex(source.text)) {
    if (token === "[" || token === "{") open++;
    else if (token === "]" || token === "}") open--;
    else if (token === "\n") indicators = 0;
    else if (open === 0 && (token === "-" || token === "?" || token === ":")) indicators++;
    if (open > depthMax || indicators > indicatorsMax) {
      throw new LoadProblem("LOAD_ERR_YAML_PARSE", tooDeep, file.child("rules content", "", at));
    }
    if (++tokens > tokensMax) {
      throw new LoadProblem("LOAD_ERR_YAML_PARSE", `Rules content has more than ${tokensMax} tokens`, file);
    }
    // Marks of documents and scalars take no place in the text.
    if (token !== "\u0002" && token !== "\u001f" && token !== "\u0018") at += token.length;
  }
}

function parseDocuments(source: SourceText, file: Context): readonly Document[] {
  try {
    const documents = parseAllDocuments(source.text, {
      schema: "failsafe",
      uniqueKeys: false,
      prettyErrors: true,
      logLevel: "error",
    });
    return Array.isArray(documents) ? documents : [];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new LoadProblem("LOAD_ERR_YAML_PARSE", tooDeep, file);
  }
}

class Reader {
  private readonly file: Context;
  private readonly allowRepeatedKeys: boolean;
  private count: number;

  constructor(file: Context, allowRepeatedKeys: boolean) {
    this.file = file;
    this.allowRepeatedKeys = allowRepeatedKeys;
    this.count = 0;
  }

  node(value: unknown, depth: number, parentAt: number): YamlNode {
    const at = startOf(value) ?? parentAt;
    if (depth > depthMax) this.refuse(tooDeep, at);
    if (++this.count > nodesMax) this.refuse(`Rules content has more than ${nodesMax} nodes`, at);
    if (isSeq(value)) {
      return { kind: "list", items: value.items.map((item) => this.node(item, depth + 1, at)), at };
    }
    if (isMap(value)) return this.map(value.items, depth, at);
    if (isAlias(value)) this.refuse("YAML aliases are not allowed; write the value out", at);
    return scalar(value, at);
  }

  private map(pairs: readonly { key: unknown; value: unknown }[], depth: number, at: number): YamlMap {
    const entries: YamlEntry[] = [];
    const seen = new Set<string>();
    for (const pair of pairs) {
      const key = this.node(pair.key, depth + 1, at);
      if (key.kind !== "scalar") {
        entries.push({ key: undefined, at: key.at, value: this.node(pair.value, depth + 1, key.at) });
        continue;
      }
      if (seen.has(key.text) && !this.allowRepeatedKeys) {
        this.refuse(`Key '${key.text}' is repeated; keep one of them`, key.at);
      }
      seen.add(key.text);
      entries.push({ key: key.text, at: key.at, value: this.node(pair.value, depth + 1, key.at) });
    }
    return { kind: "map", entries, at };
  }

  private refuse(message: string, at: number): never {
    throw new LoadProblem("LOAD_ERR_YAML_VALIDATE", message, this.file.child("rules content", "", at));
  }
}

const nulls: ReadonlySet<string> = new Set(["", "~", "null", "Null", "NULL"]);

function scalar(value: unknown, at: number): YamlScalar {
  if (!isScalar(value)) return { kind: "scalar", text: "", isNull: true, at };
  const text = typeof value.value === "string" ? value.value : "";
  const isPlain = value.type === undefined || value.type === "PLAIN";
  return { kind: "scalar", text, isNull: isPlain && nulls.has(text), at };
}

function startOf(value: unknown): number | undefined {
  return isSeq(value) || isMap(value) || isScalar(value) || isAlias(value) ? value.range?.[0] : undefined;
}
