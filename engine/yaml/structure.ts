import { type Input, YamlLimitProblem } from "./input.ts";
import type { Token, TokenQueue } from "./tokens.ts";

interface Indent {
  readonly column: number;
  readonly type: "list" | "map" | "none";
  status: Token["status"];
}

/** Something that may be a key, because a colon may follow on its line. */
interface PossibleKey {
  readonly at: number;
  readonly line: number;
  readonly level: number;
  readonly indent: Indent | undefined;
  readonly tokens: readonly Token[];
}

/** A key ends within so many characters. */
const keyLengthMax = 1024;

/** What is wrong with a text that nests too deep. */
export const tooDeep = (depth: number): string => `Rules content nests deeper than ${depth}`;

/** The blocks and brackets that are open, and what in them may turn out to be a key. */
export class Structure {
  /** Whether a key or a block may start here. */
  mayStartKey: boolean;
  private readonly input: Input;
  private readonly tokens: TokenQueue;
  private readonly flowDepthMax: number;
  private readonly flows: ("list" | "map")[];
  private readonly indents: Indent[];
  private readonly keys: PossibleKey[];

  constructor(input: Input, tokens: TokenQueue, flowDepthMax: number) {
    this.mayStartKey = true;
    this.input = input;
    this.tokens = tokens;
    this.flowDepthMax = flowDepthMax;
    this.flows = [];
    this.indents = [{ column: -1, type: "none", status: "valid" }];
    this.keys = [];
  }

  get inFlow(): boolean {
    return this.flows.length > 0;
  }

  /** The innermost bracket that is open. */
  get flow(): "list" | "map" | undefined {
    return this.flows.at(-1);
  }

  /** The column of the innermost block, or -1. */
  get column(): number {
    return this.indents.at(-1)?.column ?? -1;
  }

  openFlow(kind: "list" | "map"): void {
    this.flows.push(kind);
    if (this.flows.length > this.flowDepthMax) {
      throw new YamlLimitProblem(tooDeep(this.flowDepthMax), this.input.at);
    }
  }

  closeFlow(): void {
    this.flows.pop();
  }

  /** Ends the blocks that the column of the next token is outside of. */
  closeOuterBlocks(): void {
    if (this.inFlow) return;
    const { column } = this.input;
    const isEntry = this.input.peek() === "-" && this.input.isGap(1);
    for (let top = this.indents.at(-1); top !== undefined; top = this.indents.at(-1)) {
      const isInside = top.column < column || (top.column === column && (top.type !== "list" || isEntry));
      if (isInside && top.status !== "dropped") return;
      if (isInside) this.indents.pop();
      else this.closeBlock();
    }
  }

  private closeBlock(): void {
    const indent = this.indents.pop();
    if (indent === undefined) return;
    if (indent.status !== "valid") return this.giveUpKey();
    if (indent.type === "none") return;
    this.tokens.push(indent.type === "list" ? "end of block list" : "end of block map", this.input.at);
  }

  /** Ends all blocks, as the end of a document does. */
  closeAll(): void {
    while (!this.inFlow && this.indents.at(-1)?.type !== "none") this.closeBlock();
    this.keys.length = 0;
  }

  /** Starts a block when the column is further in than that of the block around it. */
  indentTo(type: "list" | "map"): { readonly indent: Indent; readonly token: Token } | undefined {
    if (this.inFlow) return undefined;
    const { column, at } = this.input;
    const outer = this.indents.at(-1);
    const above = outer?.column ?? -1;
    if (column < above || (column === above && !(type === "list" && outer?.type === "map"))) return undefined;
    const token = this.tokens.push(type === "list" ? "block list" : "block map", at);
    const indent: Indent = { column, type, status: "valid" };
    this.indents.push(indent);
    return { indent, token };
  }

  /** Notes that what comes next may be a key. */
  possibleKey(): void {
    if (!this.mayStartKey || this.keys.at(-1)?.level === this.flows.length) return;
    const { at, line } = this.input;
    const started = this.indentTo("map");
    const key = this.tokens.push("key", at);
    const tokens = started === undefined ? [key] : [started.token, key];
    const possible = { at, line, level: this.flows.length, indent: started?.indent, tokens };
    settle(possible, "open");
    this.keys.push(possible);
  }

  giveUpKey(): void {
    const key = this.ownKey();
    if (key !== undefined) settle(key, "dropped");
  }

  /** Whether what was read before is a key; then it becomes one. */
  confirmKey(): boolean {
    const key = this.ownKey();
    if (key === undefined) return false;
    const { at, line } = this.input;
    const isKey = line === key.line && at - key.at <= keyLengthMax;
    settle(key, isKey ? "valid" : "dropped");
    return isKey;
  }

  /** Takes the possible key of the innermost bracket, which is settled with that. */
  private ownKey(): PossibleKey | undefined {
    return this.keys.at(-1)?.level === this.flows.length ? this.keys.pop() : undefined;
  }
}

function settle({ indent, tokens }: PossibleKey, status: Token["status"]): void {
  for (const token of tokens) token.status = status;
  if (indent !== undefined) indent.status = status;
}
