import type { SourceText } from "./source-text.ts";
import { entryOf, type YamlNode } from "./yaml.ts";

/** A map of a configuration file. A key with nothing behind it counts as not given. */
export interface ConfigMap {
  readonly keys: readonly { readonly key: string; readonly at: number }[];
  readonly get: (key: string) => YamlNode | undefined;
}

/** Reads values of a configuration file and gathers every problem with its place: a wrong value reads as not given. */
export class ConfigReader {
  private readonly found: { readonly at: number; readonly words: string }[];
  private readonly source: SourceText;
  private readonly variables: Readonly<Record<string, string | undefined>>;

  constructor(source: SourceText, variables: Readonly<Record<string, string | undefined>>) {
    this.found = [];
    this.source = source;
    this.variables = variables;
  }

  refuse(at: number, words: string): void {
    this.found.push({ at, words });
  }

  /** Everything that was refused, from the top of the file to its end. */
  problems(): readonly string[] {
    return this.found
      .toSorted((a, b) => a.at - b.at)
      .map(({ at, words }) => {
        const { name, line, column } = this.source.position(at);
        return `${name}:${line + 1}:${column + 1}: ${words}`;
      });
  }

  empty(): ConfigMap {
    return { keys: [], get: () => undefined };
  }

  map(node: YamlNode | undefined, place: string): ConfigMap {
    if (node === undefined) return this.empty();
    if (node.kind !== "map") {
      this.refuse(node.at, `${place}: give a map, such as "key: value"`);
      return this.empty();
    }
    const get = (key: string): YamlNode | undefined => {
      const found = entryOf(node, key);
      return found?.kind === "scalar" && found.isNull ? undefined : found;
    };
    const keys = node.entries.map(({ key, at }) => ({ key: key ?? "", at }));
    return { keys, get };
  }

  /** Refuses keys that would mean nothing. */
  onlyKeys({ keys }: ConfigMap, place: string, known: readonly string[]): void {
    for (const { key, at } of keys) {
      if (!known.includes(key)) this.refuse(at, `${place}: unknown key "${key}"; use ${known.join(", ")}`);
    }
  }

  list(node: YamlNode | undefined, place: string): readonly YamlNode[] | undefined {
    if (node === undefined) return undefined;
    if (node.kind === "list") return node.items;
    this.refuse(node.at, `${place}: give a list, such as "- item"`);
    return undefined;
  }

  text(node: YamlNode | undefined, place: string): string | undefined {
    if (node === undefined) return undefined;
    if (node.kind === "scalar") return this.expanded(node.text);
    this.refuse(node.at, `${place}: give a text`);
    return undefined;
  }

  /** A map of texts. */
  texts(node: YamlNode, place: string): Readonly<Record<string, string>> {
    const map = this.map(node, place);
    const entries = map.keys.map(
      ({ key }) => [key, this.text(map.get(key), `${place}.${key}`) ?? ""] as const,
    );
    return Object.fromEntries(entries);
  }

  flag(node: YamlNode | undefined, place: string): boolean | undefined {
    const text = this.text(node, place);
    if (node === undefined || text === undefined) return undefined;
    if (/^(?:y|yes|true|on)$/i.test(text)) return true;
    if (!/^(?:n|no|false|off)$/i.test(text)) {
      this.refuse(node.at, `${place}: give true or false, not "${text}"`);
    }
    return false;
  }

  choice<T extends string>(node: YamlNode | undefined, place: string, all: readonly T[]): T | undefined {
    const text = this.text(node, place);
    if (node === undefined || text === undefined) return undefined;
    const found = all.find((one) => one === text.toLowerCase());
    if (found === undefined) this.refuse(node.at, `${place}: give ${all.join(" or ")}, not "${text}"`);
    return found;
  }

  /** `$${NAME}` stands for the characters `${NAME}`. */
  private expanded(text: string): string {
    return text.replaceAll(/(\$?)\$\{([^{}]+)\}/g, (whole, escape: string, name: string) =>
      escape === "" ? (this.variables[name] ?? "") : whole.slice(1),
    );
  }
}
