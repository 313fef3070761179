import { Collector } from "./collector.ts";
import { LoadProblem } from "./findings.ts";
import type { RulesFile } from "./load.ts";
import { readRules } from "./reader.ts";
import { type Position, SourceText } from "./source-text.ts";
import { entryOf, parseYaml, type YamlMap, type YamlNode } from "./yaml.ts";

export type ItemKind = "list" | "macro" | "rule";

/** How a statement treats what was said before: it begins anew, takes its place, or is added to it. */
export type Act = "define" | "replace" | "append";

/** An item of a rules file: what it is about, and how it is meant. */
export interface Said {
  readonly kind: ItemKind;
  readonly name: string;
  readonly act: Act;
  /** All properties of one definition share it. */
  readonly item: YamlMap;
  readonly source: SourceText;
}

/** What an item says about one property of a list, macro or rule. */
export interface Statement extends Said {
  /** A key such as `items`, `condition`, `priority`. */
  readonly property: string;
  readonly node: YamlNode;
}

/** Reads what files say without asking whether it fits together, so that a part can be read without what it builds on. */
class Listener extends Collector {
  readonly statements: Statement[];

  constructor() {
    super("fixed");
    this.statements = [];
  }

  override say(said: Said, properties: Iterable<string>): void {
    for (const property of properties) {
      const node = entryOf(said.item, property);
      if (node !== undefined) this.statements.push({ ...said, property, node });
    }
  }

  override defineList(): void {}
  override appendList(): void {}
  override defineMacro(): void {}
  override appendMacro(): void {}
  override defineRule(): void {}
  override appendRule(): void {}
  override replaceInRule(): void {}
  override enableRule(): void {}
}

/**
 * Everything that rules files say, in order. Of a file that cannot be read what stands before the mistake; `loadRules`
 * says what the mistake is.
 */
export function statementsIn(files: readonly RulesFile[]): readonly Statement[] {
  const listener = new Listener();
  for (const file of files) {
    const source = new SourceText(file.name, file.content);
    try {
      readRules(parseYaml(source, false), source, listener, () => undefined);
    } catch (error) {
      if (!(error instanceof LoadProblem)) throw error;
    }
  }
  return listener.statements;
}

/** Where a node of a statement stands. */
export function placeIn({ source }: Pick<Statement, "source">, { at }: { readonly at: number }): Position {
  return source.position(at);
}

/** A value as plain data, whatever its spelling: two that are the same say the same. */
export function plainOf(node: YamlNode): unknown {
  switch (node.kind) {
    case "scalar":
      return node.isNull ? null : node.text;
    case "list":
      return node.items.map(plainOf);
    case "map":
      return Object.fromEntries(node.entries.map(({ key = "", value }) => [`.${key}`, plainOf(value)]));
  }
}
