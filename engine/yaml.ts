import { Context } from "./context.ts";
import { LoadProblem } from "./findings.ts";
import type { SourceText } from "./source-text.ts";
import { Composer } from "./yaml/composer.ts";
import { Input, YamlLimitProblem, YamlProblem, YamlRefusal } from "./yaml/input.ts";
import { Scanner } from "./yaml/scanner.ts";

/** A rules file may be this large, nest this deep and hold this many nodes. */
export const rulesBytesMax: number = 4 * 1024 * 1024;
const limits = { depth: 32, nodes: 1_000_000 } as const;

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

/**
 * A node of a rules file. Scalars keep their text: `1.50` stays `1.50`. `at` is an offset into the file; of a node that
 * is missing it is where the next thing starts.
 */
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
 * Reads all documents of a rules file. Throws {@link LoadProblem} for a text that is no YAML, is too large or too deep,
 * or uses aliases, which could make a small file expand without end.
 */
export function parseYaml(source: SourceText, allowRepeatedKeys: boolean): readonly YamlNode[] {
  const file = Context.file(source);
  if (source.text.length > rulesBytesMax) {
    throw new LoadProblem("LOAD_ERR_YAML_PARSE", `Rules file is larger than ${rulesBytesMax} bytes`, file);
  }
  try {
    const documents = new Composer(new Scanner(new Input(source.text), limits.depth), limits).documents();
    if (!allowRepeatedKeys) for (const document of documents) refuseRepeatedKeys(document, file);
    return documents;
  } catch (error) {
    if (!(error instanceof YamlProblem)) throw error;
    const place = file.child("value for", "", error.at);
    if (error instanceof YamlRefusal) throw new LoadProblem("LOAD_ERR_YAML_VALIDATE", error.message, place);
    const { line, column } = source.filePosition(error.at);
    const isLimit = error instanceof YamlLimitProblem;
    throw new LoadProblem(
      "LOAD_ERR_YAML_PARSE",
      isLimit ? error.message : yamlWords(error.message, line, column),
      place,
    );
  }
}

/** Which of two values counts is easily missed by who reads the file. */
function refuseRepeatedKeys(node: YamlNode, file: Context): void {
  if (node.kind === "scalar") return;
  if (node.kind === "list") {
    for (const item of node.items) refuseRepeatedKeys(item, file);
    return;
  }
  const seen = new Set<string>();
  for (const { key, at, value } of node.entries) {
    if (key !== undefined && seen.has(key)) {
      const message = `Key '${key}' is repeated; keep one of them`;
      throw new LoadProblem("LOAD_ERR_YAML_VALIDATE", message, file.child("value for", "", at));
    }
    if (key !== undefined) seen.add(key);
    refuseRepeatedKeys(value, file);
  }
}
