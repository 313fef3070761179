import type { YamlEntry, YamlNode } from "../yaml.ts";
import { YamlLimitProblem, YamlProblem, YamlRefusal } from "./input.ts";
import type { Scanner } from "./scanner.ts";
import { tooDeep } from "./structure.ts";
import type { Token } from "./tokens.ts";

/** What a YAML text may hold. */
export interface YamlLimits {
  readonly depth: number;
  readonly nodes: number;
}

const nulls: ReadonlySet<string> = new Set(["", "~", "null", "Null", "NULL"]);
const listEnds = { "block list": "end of sequence not found", "flow list": "end of sequence flow not found" };
const mapEnds = { "block map": "end of map not found", "flow map": "end of map flow not found" };

/** Builds the documents of a text out of its tokens. */
export class Composer {
  private readonly scanner: Scanner;
  private readonly limits: YamlLimits;
  private readonly anchors: Set<string>;
  private nodes: number;

  constructor(scanner: Scanner, limits: YamlLimits) {
    this.scanner = scanner;
    this.limits = limits;
    this.anchors = new Set();
    this.nodes = 0;
  }

  documents(): readonly YamlNode[] {
    const documents: YamlNode[] = [];
    for (;;) {
      while (this.is("directive")) this.scanner.take();
      if (this.scanner.peek() === undefined) return documents;
      const before = this.scanner.taken;
      if (this.is("document start")) this.scanner.take();
      this.anchors.clear();
      documents.push(this.node(0, false));
      while (this.is("document end")) this.scanner.take();
      // Something that can start nothing would be found again and again.
      if (this.scanner.taken === before) this.missing("unknown token");
    }
  }

  private is(type: Token["type"]): boolean {
    return this.scanner.peek()?.type === type;
  }

  private node(depth: number, inFlowList: boolean): YamlNode {
    const start = this.scanner.peek();
    const at = start?.at ?? this.scanner.at;
    if (depth > this.limits.depth) throw new YamlLimitProblem(tooDeep(this.limits.depth), at);
    if (++this.nodes > this.limits.nodes) {
      throw new YamlLimitProblem(`Rules content has more than ${this.limits.nodes} nodes`, at);
    }
    if (start?.type === "value") return this.loneValue(depth, at);
    if (start?.type === "alias") return this.refuseAlias(start);
    const { anchor, tag } = this.properties();
    if (anchor !== "") this.anchors.add(anchor);
    return this.content(depth, inFlowList, at, tag !== "");
  }

  private properties(): { readonly anchor: string; readonly tag: string } {
    let anchor = "";
    let tag = "";
    for (let token = this.scanner.peek(); token !== undefined; token = this.scanner.peek()) {
      if (token.type === "anchor") {
        if (anchor !== "") throw new YamlProblem("cannot assign multiple anchors to the same node", token.at);
        anchor = token.text;
      } else if (token.type === "tag") {
        if (tag !== "") throw new YamlProblem("cannot assign multiple tags to the same node", token.at);
        tag = token.text;
      } else break;
      this.scanner.take();
    }
    return { anchor, tag };
  }

  private refuseAlias({ at, text }: Token): never {
    throw this.anchors.has(text)
      ? new YamlRefusal("YAML aliases are not allowed; write the value out", at)
      : new YamlProblem("the referenced anchor is not defined", at);
  }

  private content(depth: number, inFlowList: boolean, at: number, isTagged: boolean): YamlNode {
    const token = this.scanner.peek();
    if (token?.type === "plain" || token?.type === "quoted") {
      this.scanner.take();
      const isNull = token.type === "plain" && !isTagged && nulls.has(token.text);
      return { kind: "scalar", text: token.text, isNull, at };
    }
    if (token?.type === "block list" || token?.type === "flow list") {
      return { kind: "list", items: this.list(depth, token.type), at };
    }
    if (token?.type === "block map" || token?.type === "flow map") {
      return { kind: "map", entries: this.map(depth, token.type), at };
    }
    if (token?.type === "key" && inFlowList) return { kind: "map", entries: [this.pair(depth)], at };
    return { kind: "scalar", text: "", isNull: !isTagged || token === undefined, at };
  }

  private list(depth: number, type: "block list" | "flow list"): readonly YamlNode[] {
    this.scanner.take();
    const items: YamlNode[] = [];
    const isFlow = type === "flow list";
    for (;;) {
      if (this.ends(isFlow ? "end of flow list" : "end of block list", listEnds[type])) return items;
      if (!isFlow) {
        if (!this.is("block entry")) this.missing(listEnds[type]);
        this.scanner.take();
      }
      items.push(this.node(depth + 1, isFlow));
      if (isFlow) this.separator("end of flow list", listEnds[type]);
    }
  }

  private map(depth: number, type: "block map" | "flow map"): readonly YamlEntry[] {
    this.scanner.take();
    const entries: YamlEntry[] = [];
    const isFlow = type === "flow map";
    for (;;) {
      if (this.ends(isFlow ? "end of flow map" : "end of block map", mapEnds[type])) return entries;
      if (!isFlow && !this.is("key") && !this.is("value")) this.missing(mapEnds[type]);
      entries.push(this.pair(depth));
      if (isFlow) this.separator("end of flow map", mapEnds[type]);
    }
  }

  /** A key and its value, each of which may be missing. */
  private pair(depth: number): YamlEntry {
    const at = this.scanner.peek()?.at ?? this.scanner.at;
    const nothing: YamlNode = { kind: "scalar", text: "", isNull: true, at };
    let key: YamlNode = nothing;
    if (this.is("key")) {
      this.scanner.take();
      key = this.node(depth + 1, false);
    }
    let value: YamlNode = nothing;
    if (this.is("value")) {
      this.scanner.take();
      value = this.node(depth + 1, false);
    }
    return { key: keyOf(key), at: key.at, value };
  }

  /** A value without a key is a map of its own. */
  private loneValue(depth: number, at: number): YamlNode {
    return { kind: "map", entries: [this.pair(depth)], at };
  }

  private ends(type: Token["type"], otherwise: string): boolean {
    if (this.scanner.peek() === undefined) this.missing(otherwise);
    if (!this.is(type)) return false;
    this.scanner.take();
    return true;
  }

  private separator(end: Token["type"], otherwise: string): void {
    if (this.is("flow entry")) this.scanner.take();
    else if (!this.is(end)) this.missing(otherwise);
  }

  private missing(words: string): never {
    throw new YamlProblem(words, this.scanner.peek()?.at ?? this.scanner.at);
  }
}

/** Falco reads a key that is null as the word; only scalars are keys. */
function keyOf(node: YamlNode): string | undefined {
  if (node.kind !== "scalar") return undefined;
  return node.isNull ? "null" : node.text;
}
