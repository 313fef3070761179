import { LoadProblem } from "./findings.ts";
import { SourceText } from "./source-text.ts";
import { parseYaml, type YamlNode } from "./yaml.ts";

/** A YAML value as plain data. Every scalar is text, also `true` and `5`; null is where nothing is written. */
export type PlainYaml = string | null | readonly PlainYaml[] | { readonly [key: string]: PlainYaml };

/** What a YAML file holds, or why it cannot be read. */
export type PlainYamlRead =
  | { readonly ok: true; readonly value: PlainYaml }
  | { readonly ok: false; readonly why: string };

/**
 * Reads a YAML file that stands beside rules, within the bounds of rules files: no aliases, no repeated keys, no endless
 * depth. Of several documents the first counts.
 */
export function readPlainYaml(name: string, text: string): PlainYamlRead {
  try {
    const [document] = parseYaml(new SourceText(name, text), false);
    return { ok: true, value: document === undefined ? null : plain(document) };
  } catch (error) {
    if (!(error instanceof LoadProblem)) throw error;
    return { ok: false, why: error.message };
  }
}

function plain(node: YamlNode): PlainYaml {
  switch (node.kind) {
    case "scalar":
      return node.isNull ? null : node.text;
    case "list":
      return node.items.map(plain);
    case "map":
      return Object.fromEntries(node.entries.map(({ key, value }) => [key ?? "", plain(value)]));
  }
}
