import { readBlockScalar } from "./block-scalar.ts";
import { readFlowScalar } from "./flow-scalars.ts";
import type { Input } from "./input.ts";
import { Structure } from "./structure.ts";
import { type Token, TokenQueue, type TokenType } from "./tokens.ts";

const flowMarks = ",?[]{}";

/**
 * Cuts a YAML text into tokens, with the indentation of blocks as tokens of their own. It takes and refuses what Falco's
 * library does, which is looser than YAML: quotes and brackets may go on at any column.
 */
export class Scanner {
  /** How many tokens were taken. */
  taken: number;
  private readonly input: Input;
  private readonly tokens: TokenQueue;
  private readonly structure: Structure;
  /** Behind a quoted scalar or a bracket in a flow, a colon needs no blank after it. */
  private takesBareColon: boolean;
  private ended: boolean;

  constructor(input: Input, flowDepthMax: number) {
    this.taken = 0;
    this.input = input;
    this.tokens = new TokenQueue();
    this.structure = new Structure(input, this.tokens, flowDepthMax);
    this.takesBareColon = false;
    this.ended = false;
  }

  /** The next token; undefined at the end. */
  peek(): Token | undefined {
    for (;;) {
      const token = this.tokens.front;
      if (token?.status === "valid") return token;
      if (token?.status === "dropped") this.tokens.drop();
      else if (this.ended) return token;
      else this.scan();
    }
  }

  take(): Token | undefined {
    const token = this.peek();
    if (token !== undefined) {
      this.taken++;
      this.tokens.drop();
    }
    return token;
  }

  /** How far the text has been read. */
  get at(): number {
    return this.input.at;
  }

  private push(type: TokenType, at = this.input.at, text = ""): void {
    this.tokens.push(type, at, text);
  }

  private get inFlow(): boolean {
    return this.structure.inFlow;
  }

  private scan(): void {
    const { input } = this;
    this.skipToToken();
    this.structure.closeOuterBlocks();
    if (input.done) return this.end();
    const char = input.peek();
    if (input.column === 0 && char === "%") return this.directive();
    if (input.isDocumentMark("---")) return this.document("document start");
    if (input.isDocumentMark("...")) return this.document("document end");
    switch (char) {
      case "[":
      case "{":
        return this.flowStart(char === "[" ? "list" : "map");
      case "]":
      case "}":
        return this.flowEnd(char === "]" ? "list" : "map");
      case ",":
        return this.flowEntry();
      default:
        break;
    }
    if (char === "-" && input.isGap(1)) return this.blockEntry();
    if (char === "?" && input.isGap(1) && input.peek(1) !== "") return this.explicitKey();
    if (char === ":" && this.isValueMark()) return this.value();
    if (char === "*" || char === "&") return this.reference(char === "*" ? "alias" : "anchor");
    if (char === "!") return this.tag();
    if (!this.inFlow && (char === "|" || char === ">")) return this.blockScalar();
    if (char === '"' || char === "'") return this.quoted(char);
    if (this.startsPlain(char)) return this.plain();
    throw input.problem("unknown token");
  }

  private isValueMark(): boolean {
    if (this.input.isGap(1)) return true;
    return this.inFlow && (this.takesBareColon || ",]}".includes(this.input.peek(1)));
  }

  private startsPlain(char: string): boolean {
    if (",[]{}#&*!|>'\"%@`".includes(char)) return false;
    if (char === "-" || char === ":") return !this.input.isGap(1);
    if (char !== "?") return true;
    return !this.inFlow && !this.input.isGap(1);
  }

  private skipToToken(): void {
    const { input } = this;
    for (;;) {
      while (input.isBlank()) {
        if (!this.inFlow && input.peek() === "\t") this.structure.mayStartKey = false;
        input.skip(1);
      }
      if (input.peek() === "#") input.skipLine();
      if (input.breakLength() === 0) return;
      input.takeBreak();
      this.structure.giveUpKey();
      if (!this.inFlow) this.structure.mayStartKey = true;
    }
  }

  private end(): void {
    this.structure.closeAll();
    this.structure.mayStartKey = false;
    this.ended = true;
  }

  private directive(): void {
    this.structure.closeAll();
    this.structure.mayStartKey = false;
    this.takesBareColon = false;
    this.push("directive");
    this.input.skipLine();
  }

  private document(type: "document start" | "document end"): void {
    this.structure.closeAll();
    this.structure.mayStartKey = false;
    this.takesBareColon = false;
    this.push(type);
    this.input.skip(3);
  }

  private flowStart(kind: "list" | "map"): void {
    this.structure.possibleKey();
    this.structure.mayStartKey = true;
    this.takesBareColon = false;
    this.structure.openFlow(kind);
    this.push(kind === "list" ? "flow list" : "flow map");
    this.input.skip(1);
  }

  /** A key of a flow map may stand alone; then its value is missing. */
  private endFlowItem(): void {
    if (this.structure.flow === "map" && this.structure.confirmKey()) this.push("value");
    else if (this.structure.flow === "list") this.structure.giveUpKey();
  }

  private flowEnd(kind: "list" | "map"): void {
    if (!this.inFlow) throw this.input.problem("illegal flow end");
    this.endFlowItem();
    this.structure.mayStartKey = false;
    this.takesBareColon = true;
    if (this.structure.flow !== kind) throw this.input.problem("illegal flow end");
    this.structure.closeFlow();
    this.push(kind === "list" ? "end of flow list" : "end of flow map");
    this.input.skip(1);
  }

  private flowEntry(): void {
    this.endFlowItem();
    this.structure.mayStartKey = true;
    this.takesBareColon = false;
    this.push("flow entry");
    this.input.skip(1);
  }

  private blockEntry(): void {
    if (this.inFlow || !this.structure.mayStartKey) throw this.input.problem("illegal block entry");
    this.structure.indentTo("list");
    this.structure.mayStartKey = true;
    this.takesBareColon = false;
    this.push("block entry");
    this.input.skip(1);
  }

  private explicitKey(): void {
    if (!this.inFlow && !this.structure.mayStartKey) throw this.input.problem("illegal map key");
    this.structure.indentTo("map");
    this.structure.mayStartKey = !this.inFlow;
    this.push("key");
    this.input.skip(1);
  }

  private value(): void {
    const isKey = this.structure.confirmKey();
    this.takesBareColon = false;
    if (!isKey && !this.inFlow) {
      if (!this.structure.mayStartKey) throw this.input.problem("illegal map value");
      this.structure.indentTo("map");
    }
    this.structure.mayStartKey = !isKey && !this.inFlow;
    this.push("value");
    this.input.skip(1);
  }

  private reference(type: "alias" | "anchor"): void {
    const { input } = this;
    this.structure.possibleKey();
    this.structure.mayStartKey = false;
    this.takesBareColon = false;
    const { at } = input;
    const name = /[^[\]{}, \t\r\n]*/y;
    name.lastIndex = at + 1;
    const text = name.exec(input.text)?.[0] ?? "";
    input.skip(1 + text.length);
    if (text === "") {
      throw input.problem(type === "alias" ? "alias not found after *" : "anchor not found after &");
    }
    if (!input.isGap(0) && !"?:,]}%@`".includes(input.peek())) {
      throw input.problem(
        type === "alias"
          ? "illegal character found while scanning alias"
          : "illegal character found while scanning anchor",
      );
    }
    this.push(type, at, text);
  }

  private tag(): void {
    const { input } = this;
    this.structure.possibleKey();
    this.structure.mayStartKey = false;
    this.takesBareColon = false;
    const { at } = input;
    const tag = /!(?:<[^>\s]*>|(?:[\w#;/?:@&=+$.~*'()!-]|%[0-9a-fA-F]{2})*)/y;
    tag.lastIndex = at;
    const text = tag.exec(input.text)?.[0] ?? "!";
    input.skip(text.length);
    this.push("tag", at, text);
  }

  private plain(): void {
    const { input, inFlow } = this;
    // What may turn out to be a key does not yet indent the lines it goes on in.
    const indent = inFlow ? 0 : this.structure.column + 1;
    this.structure.possibleKey();
    const { at } = input;
    const endLength = (): number => {
      const char = input.peek();
      if (char === ":" && (input.isGap(1) || (inFlow && ",]}".includes(input.peek(1))))) return 1;
      if (inFlow && char !== "" && flowMarks.includes(char)) return 1;
      const gap = input.isBlank() ? 1 : input.breakLength();
      return gap > 0 && input.peek(gap) === "#" ? gap : 0;
    };
    const scalar = readFlowScalar(input, { endLength, escape: "", indent, isPlain: true });
    this.structure.mayStartKey = scalar.endsAtNewLine;
    this.takesBareColon = false;
    this.push("plain", at, scalar.text);
  }

  private quoted(quote: '"' | "'"): void {
    const { input } = this;
    this.structure.possibleKey();
    const { at } = input;
    input.skip(1);
    const endLength = (): number =>
      input.peek() === quote && !(quote === "'" && input.peek(1) === "'") ? 1 : 0;
    const escape = quote === "'" ? "'" : "\\";
    const { text } = readFlowScalar(input, { endLength, escape, indent: 0, isPlain: false });
    this.structure.mayStartKey = false;
    this.takesBareColon = true;
    this.push("quoted", at, text);
  }

  private blockScalar(): void {
    const { at } = this.input;
    const text = readBlockScalar(this.input, this.structure.column);
    this.structure.mayStartKey = true;
    this.takesBareColon = false;
    this.push("quoted", at, text);
  }
}
