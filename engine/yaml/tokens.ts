export type TokenType =
  | "directive"
  | "document start"
  | "document end"
  | "block list"
  | "block map"
  | "end of block list"
  | "end of block map"
  | "block entry"
  | "flow list"
  | "flow map"
  | "end of flow list"
  | "end of flow map"
  | "flow entry"
  | "key"
  | "value"
  | "anchor"
  | "alias"
  | "tag"
  | "plain"
  | "quoted";

export interface Token {
  readonly type: TokenType;
  readonly at: number;
  readonly text: string;
  /** A token before something that may turn out to be a key is open until then, and dropped if it is none. */
  status: "valid" | "open" | "dropped";
}

/** Tokens that were read and not yet taken. */
export class TokenQueue {
  private tokens: Token[];
  private first: number;

  constructor() {
    this.tokens = [];
    this.first = 0;
  }

  get front(): Token | undefined {
    return this.tokens[this.first];
  }

  push(type: TokenType, at: number, text = ""): Token {
    const token: Token = { type, at, text, status: "valid" };
    this.tokens.push(token);
    return token;
  }

  drop(): void {
    if (++this.first < 1024 || this.first * 2 < this.tokens.length) return;
    this.tokens = this.tokens.slice(this.first);
    this.first = 0;
  }
}
