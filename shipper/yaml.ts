import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument, visit } from "yaml";
import type { Document, Node } from "yaml";
import { problemAt } from "./problem.ts";
import type { Place, Problem } from "./problem.ts";
import { limits } from "./section.ts";
import type { ConfigFile, Entry, Include, Section, SectionKind, Sections } from "./section.ts";
import { insteadOf, refusalOf } from "./unsupported.ts";
import { depthMax, nestsTooDeep } from "./yaml-depth.ts";

/**
 * Reads the YAML format. Every scalar stays the text it was written as, so `off`, `5m` and `010` mean here what they
 * mean in the classic format. Aliases, anchors and tags are refused: a config has no use for them, a bomb has.
 */
export function readYaml(file: ConfigFile): Sections {
  const lines = new LineCounter();
  const reader = new Reader(file.name, lines);
  if (nestsTooDeep(file.content)) {
    reader.refuse(0, `Not read: it is nested more than ${depthMax} levels deep`);
    return { sections: [], includes: [], problems: reader.problems };
  }
  let document: Document.Parsed;
  try {
    // Duplicate keys are found below: the package's own check is quadratic.
    document = parseDocument(file.content, {
      schema: "failsafe",
      uniqueKeys: false,
      merge: false,
      lineCounter: lines,
      prettyErrors: false,
    });
  } catch (error) {
    const why = error instanceof RangeError ? "it is nested too deeply" : String(error);
    const problem = { file: file.name, line: 1, column: 1, message: `Not read: ${why}` };
    return { sections: [], includes: [], problems: [problem] };
  }
  for (const error of document.errors) reader.refuse(error.pos[0], `Not valid YAML: ${error.message}`);
  if (reader.problems.length === 0) reader.refuseUnsafe(document);
  if (reader.problems.length === 0) reader.top(document.contents);
  return { sections: reader.sections, includes: reader.includes, problems: reader.problems };
}

const lists: Readonly<Record<string, SectionKind>> = {
  inputs: "input",
  filters: "filter",
  outputs: "output",
};
const known = "service, env, includes, parsers, pipeline";

class Reader {
  readonly sections: Section[] = [];
  readonly includes: Include[] = [];
  readonly problems: Problem[] = [];
  readonly #file: string;
  readonly #lines: LineCounter;

  constructor(file: string, lines: LineCounter) {
    this.#file = file;
    this.#lines = lines;
  }

  refuse(offset: number, message: string): void {
    if (this.problems.length < 50) this.problems.push(problemAt(this.#place(offset), message));
  }

  refuseUnsafe(document: Document.Parsed): void {
    visit(document, {
      Node: (_key, node, path) => {
        const offset = offsetOf(node);
        if (path.length > limits.depth * 2) {
          this.refuse(offset, `Nested deeper than ${limits.depth} levels`);
          return visit.BREAK;
        }
        if (isAlias(node)) this.refuse(offset, `Alias *${node.source} is not supported: write the value out`);
        else if (node.anchor !== undefined) this.refuse(offset, `Anchor &${node.anchor} is not supported`);
        else if (node.tag?.startsWith("!") === true) this.refuse(offset, `Tag ${node.tag} is not supported`);
        return undefined;
      },
    });
  }

  top(root: unknown): void {
    if (root === null) return;
    this.#eachKey(root, "The file", (key, value, offset) => {
      if (key === "service" || key === "env") this.#section(key, value, offset);
      else if (key === "parsers") this.#list("parser", value, offset);
      else if (key === "pipeline") this.#pipeline(value);
      else if (key === "includes") this.#includes(value, offset);
      else this.refuse(offset, refusalOf(key, `"${key}"`, known));
    });
  }

  #includes(value: unknown, offset: number): void {
    if (!isSeq(value)) return this.refuse(offset, `"includes" has to be a list: begin each file with "- "`);
    for (const item of value.items) {
      const path = textOf(item) ?? "";
      const at = offsetOf(item, offset);
      if (path !== "") this.includes.push({ ...this.#place(at), path, before: this.sections.length });
      else this.refuse(at, `"includes" has to be a list of file names`);
    }
    return undefined;
  }

  #pipeline(value: unknown): void {
    this.#eachKey(value, "pipeline", (key, list, offset) => {
      const kind = Object.hasOwn(lists, key) ? lists[key] : undefined;
      if (kind !== undefined) return this.#list(kind, list, offset);
      return this.refuse(
        offset,
        `"pipeline.${key}" is not supported. Supported: ${Object.keys(lists).join(", ")}`,
      );
    });
  }

  #list(kind: SectionKind, value: unknown, offset: number): void {
    if (isSeq(value)) for (const item of value.items) this.#section(kind, item, offsetOf(item, offset));
    else this.refuse(offset, `The ${kind}s have to be a list: begin each with "- name: ..."`);
  }

  #section(kind: SectionKind, value: unknown, offset: number): void {
    const entries: Entry[] = [];
    this.#eachKey(
      value,
      `This ${kind}`,
      (key, node, at) => this.#entry(kind, key, node, at, entries),
      kind === "env",
    );
    this.sections.push({ ...this.#place(offset), kind, entries });
  }

  /** An option; of one that holds others, such as `storage`, each is an option with a dot in its name. */
  #entry(kind: SectionKind, key: string, node: unknown, at: number, entries: Entry[]): void {
    const instead = insteadOf(key);
    if ((isMap(node) || isSeq(node)) && instead !== undefined) {
      return this.refuse(at, `"${key}" is not supported: ${instead}`);
    }
    if (isMap(node) && kind !== "env") {
      return this.#eachKey(node, `"${key}"`, (inner, value, place) =>
        this.#entry(kind, `${key}.${inner}`, value, place, entries),
      );
    }
    for (const item of isSeq(node) ? node.items : [node]) {
      const value = textOf(item);
      if (value !== undefined) entries.push({ ...this.#place(at), key, value });
      else this.refuse(offsetOf(item, at), `"${key}" has to be a plain value or a list of plain values`);
    }
    return undefined;
  }

  #eachKey(
    value: unknown,
    what: string,
    use: (key: string, value: unknown, offset: number) => void,
    keepCase: boolean = false,
  ): void {
    if (!isMap(value)) return this.refuse(offsetOf(value), `${what} has to be a mapping of keys to values`);
    const seen = new Set<string>();
    for (const pair of value.items) {
      const offset = offsetOf(pair.key);
      const written = textOf(pair.key) ?? "";
      const key = keepCase ? written : written.toLowerCase();
      if (key === "") this.refuse(offset, `${what} has a key that is not a plain word`);
      else if (seen.has(key)) this.refuse(offset, `"${written}" is there twice: write its values as a list`);
      else use(key, pair.value, offset);
      seen.add(key);
    }
    return undefined;
  }

  #place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

function offsetOf(node: unknown, otherwise: number = 0): number {
  return (node as Node | null | undefined)?.range?.[0] ?? otherwise;
}

/** The text of a scalar; in the failsafe schema every scalar is text, and an absent value is empty. */
function textOf(node: unknown): string | undefined {
  if (node === null) return "";
  if (!isScalar(node)) return undefined;
  return typeof node.value === "string" ? node.value.trim() : "";
}
